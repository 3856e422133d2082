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
  /** [hidden, channels * patch * patch], its input in (channel, row, column) order. */
  readonly patchEmbedding: Linear;
  /** [tokens, hidden]. */
  readonly positions: Weight;
  readonly blocks: readonly Block[];
  readonly norm: Norm;
  /** Absent where the tower ends in its tokens. */
  readonly head?: MapHead;
}

/**
 * The image tower: patches [batch, tokens, channels * patch * patch] to the pooled image [batch, 1, hidden], not
 * normalised, or without a head to the last hidden state [batch, tokens, hidden]. [HF SiglipVisionTransformer;
 * Alabdulmohsin et al. 2023, arXiv 2305.13035]
 */
export function visionTower(p: Recorder, w: VisionTower, patches: Value): Value {
  const embedded = p.linear(patches, w.patchEmbedding, { add: w.positions, exact: true });
  const x = encoder(p, embedded, w.blocks, w.config.heads);
  const last = p.layerNorm(x, w.norm);
  p.tap("last_hidden_state", last);
  return w.head ? mapHead(p, last, w.head, w.config.heads) : last;
}

/**
 * Multihead attention pooling: one learned query over all tokens, then `h + mlp(norm(h))`; [batch, tokens, hidden] to
 * [batch, 1, hidden]. [HF SiglipMultiheadAttentionPoolingHead; big_vision vit.py MAPHead]
 */
function mapHead(p: Recorder, x: Value, w: MapHead, heads: number): Value {
  const hidden = x.shape[2];
  const query = p.linear(w.probe, w.q);
  const kv = p.linear(x, w.kv);
  const pooled = p.attention(part(query, 0, hidden), part(kv, 0, hidden), part(kv, 1, hidden), heads);
  return mlp(p, p.linear(pooled, w.out, { exact: true }), w.norm, w.mlp);
}

/** The image tower's weights by their names. */
export function bindVisionTower(p: Params, config: VisionConfig): VisionTower {
  const { hidden, mlp: inner, patchSize, channels, tokens, eps } = config;
  const embeddings = p.at("embeddings");
  const head = p.at("head");
  return {
    config,
    patchEmbedding: embeddings.linear("patch_embedding", [hidden, channels, patchSize, patchSize]),
    positions: embeddings.tensor("position_embedding.weight", [tokens, hidden]),
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
