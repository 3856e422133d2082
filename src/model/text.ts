import type { Linear, Norm, Recorder, Value } from "../tensor/program.ts";
import type { TextConfig } from "./config.ts";
import type { Params } from "./params.ts";
import { type Block, encoder } from "./transformer.ts";

/** Weights of the text tower; the token table stays on the host (see TokenTable). */
export interface TextTower {
  readonly config: TextConfig;
  readonly blocks: readonly Block[];
  readonly norm: Norm;
  /** [projection, hidden]. */
  readonly head: Linear;
}

/**
 * The text tower: embedded tokens [batch, positions, hidden] (token plus position) to the pooled text
 * [batch, projection], not normalised. Attention is not causal and nothing is masked: pads are read like words, and the
 * **last position** is the text's, often a pad. [HF SiglipTextTransformer]
 */
export function textTower(p: Recorder, w: TextTower, embedded: Value): Value {
  const [batch, positions] = embedded.shape;
  const x = encoder(p, embedded, w.blocks, w.config.heads);
  const last = Array.from({ length: batch }, (_, item) => (item + 1) * positions - 1);
  return p.linear(p.layerNorm(p.rows(x, last), w.norm), w.head, { exact: true });
}

/** The text tower's weights by their names. */
export function bindTextTower(p: Params, config: TextConfig): TextTower {
  return {
    config,
    blocks: p.blocks("encoder.layers", config),
    norm: p.norm("final_layer_norm", config.hidden, config.eps),
    head: p.linear("head", [config.projection, config.hidden]),
  };
}
