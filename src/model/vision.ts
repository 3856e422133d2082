import type { Linear, Norm, Recorder, Value, Weight } from "../tensor/program.ts";
import type { VisionConfig } from "./config.ts";
import type { Params } from "./params.ts";
import { type Block, encoder, type Mlp, mlp, part } from "./transformer.ts";

/** Weights of multihead attention pooling: `probe` [1, 1, hidden] asks, keys and values [2 hidden, hidden] answer. */
export interface MapHead {
  readonly probe: Weight;
  readonly q: Linear;
  readonly kv: Linear;
  readonly out: Linear;
  readonly norm: Norm;
  readonly mlp: Mlp;
}

/** Weights of the image tower. */
export interface VisionTower {
  readonly config: VisionConfig;
  /**
   * [hidden, channels * patch * patch], its input in (channel, row, column) order, of NaFlex in (row, column, channel)
   * order.
   */
  readonly patchEmbedding: Linear;
  /** [tokens, hidden]; absent where they follow from a picture's grid and are an input. */
  readonly positions?: Weight;
  readonly blocks: readonly Block[];
  /** Absent where the tower ends in a block. */
  readonly norm?: Norm;
  /** Absent where the tower ends in its tokens. */
  readonly head?: MapHead;
}

/**
 * The image tower: patches [batch, tokens, channels * patch * patch] to the pooled image [batch, 1, hidden], not
 * normalised, or without a head to the last hidden state [batch, tokens, hidden]. Where the tower has no positions of
 * its own they are an input: of one grid [tokens, hidden], of NaFlex, which has `lengths` [batch] beside, of each
 * picture [batch, tokens, hidden]; tokens beyond a picture's length are not attended. [HF SiglipVisionTransformer,
 * Siglip2VisionTransformer; Alabdulmohsin et al. 2023, arXiv 2305.13035]
 */
export function visionTower(p: Recorder, w: VisionTower, patches: Value): Value {
  const { hidden, heads, naflex } = w.config;
  const [batch, tokens] = patches.shape;
  const lengths = naflex ? p.input("lengths", [batch]) : undefined;
  const add = w.positions ?? p.input("positions", [...(naflex ? [batch] : []), tokens, hidden]);
  const embedded = p.linear(patches, w.patchEmbedding, { add, exact: true });
  const x = encoder(p, embedded, w.blocks, heads, lengths);
  const last = w.norm ? p.layerNorm(x, w.norm) : x;
  p.tap("last_hidden_state", last);
  return w.head ? mapHead(p, last, w.head, heads, lengths) : last;
}

/**
 * Multihead attention pooling: one learned query over all tokens, then `h + mlp(norm(h))`; [batch, tokens, hidden] to
 * [batch, 1, hidden]. [HF SiglipMultiheadAttentionPoolingHead; big_vision vit.py MAPHead]
 */
function mapHead(p: Recorder, x: Value, w: MapHead, heads: number, lengths?: Value): Value {
  const hidden = x.shape[2];
  const { query, kv } = probe(p, x, w);
  const attended = p.attention(part(query, 0, hidden), part(kv, 0, hidden), part(kv, 1, hidden), heads, lengths);
  return pool(p, attended, w);
}

/** The MAP head's query [1, 1, hidden], and the keys and values [batch, tokens, 2 hidden] that x answers with. */
export function probe(p: Recorder, x: Value, w: MapHead): { query: Value; kv: Value } {
  return { query: p.linear(w.probe, w.q), kv: p.linear(x, w.kv) };
}

/** What the MAP head makes of what its query attends to: [batch, 1, hidden] to [batch, 1, hidden]. */
export function pool(p: Recorder, attended: Value, w: MapHead): Value {
  return mlp(p, p.linear(attended, w.out, { exact: true }), w.norm, w.mlp);
}

/** The image tower's weights by their names; without the learned positions where the grid is not theirs. */
export function bindVisionTower(p: Params, config: VisionConfig): VisionTower {
  const { hidden, mlp: inner, patchSize, channels, tokens, naflex, grid, eps } = config;
  const embeddings = p.at("embeddings");
  const head = p.at("head");
  return {
    config,
    patchEmbedding: embeddings.patches(hidden, channels, patchSize, naflex),
    positions: !naflex && !grid ? embeddings.tensor("position_embedding.weight", [tokens, hidden]) : undefined,
    blocks: p.blocks("encoder.layers", config),
    norm: p.norm("post_layernorm", hidden, eps),
    head: config.head
      ? {
          probe: head.tensor("probe", [1, 1, hidden]),
          ...head.at("attention").inProjection(hidden),
          out: head.linear("attention.out_proj", [hidden, hidden]),
          norm: head.norm("layernorm", hidden, eps),
          mlp: head.at("mlp").mlp(hidden, inner),
        }
      : undefined,
  };
}
