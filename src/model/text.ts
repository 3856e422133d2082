import type { Backend, Linear, Norm, Tensor } from "../tensor/backend.ts";
import type { TextConfig } from "./config.ts";
import type { Params } from "./params.ts";
import { type Block, encoder, type Tap } from "./transformer.ts";

/** Weights of the text tower; the token table stays on the host (see TokenTable). */
export interface TextTower<T> {
  readonly config: TextConfig;
  readonly blocks: readonly Block<T>[];
  readonly norm: Norm<T>;
  /** [projection, hidden]. */
  readonly head: Linear<T>;
}

/**
 * The text tower: embedded tokens [batch, positions, hidden] (token plus position) to the pooled text
 * [batch, projection], not normalised. Attention is not causal and nothing is masked: pads are read like words, and the
 * **last position** is the text's, often a pad. [HF SiglipTextTransformer]
 */
export function textTower<T extends Tensor>(b: Backend<T>, w: TextTower<T>, embedded: T, tap?: Tap<T>): T {
  const [batch, positions] = embedded.shape;
  const x = encoder(b, embedded, w.blocks, w.config.heads, tap);
  const last = Array.from({ length: batch }, (_, item) => (item + 1) * positions - 1);
  return b.linear(b.layerNorm(b.rows(x, last), w.norm), w.head, { exact: true });
}

/** Binds the text tower's tensors, each checked against the config, in the order of published files. */
export async function loadTextTower<T extends Tensor>(p: Params<T>, config: TextConfig): Promise<TextTower<T>> {
  return {
    config,
    blocks: await p.blocks("encoder.layers", config),
    norm: await p.norm("final_layer_norm", config.hidden, config.eps),
    head: await p.linear("head", [config.projection, config.hidden]),
  };
}
