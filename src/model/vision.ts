import type { Backend, Linear, Norm, Tensor } from "../tensor/backend.ts";
import type { VisionConfig } from "./config.ts";
import type { Params } from "./params.ts";
import { type Block, encoder, type Mlp, mlp, part, type Tap } from "./transformer.ts";

/** Weights of multihead attention pooling: `probe` [1, 1, hidden] asks, keys and values [2 hidden, hidden] answer. */
export interface MapHead<T> {
  readonly probe: T;
  readonly q: Linear<T>;
  readonly kv: Linear<T>;
  readonly out: Linear<T>;
  readonly norm: Norm<T>;
  readonly mlp: Mlp<T>;
}

/** Weights of the image tower. */
export interface VisionTower<T> {
  readonly config: VisionConfig;
  /** [hidden, channels * patch * patch], its input in (channel, row, column) order. */
  readonly patchEmbedding: Linear<T>;
  /** [tokens, hidden]. */
  readonly positions: T;
  readonly blocks: readonly Block<T>[];
  readonly norm: Norm<T>;
  readonly head: MapHead<T>;
}

/**
 * The image tower: pixel values [batch, channels, size, size] to the pooled image [batch, hidden], not normalised.
 * [HF SiglipVisionTransformer; Alabdulmohsin et al. 2023, arXiv 2305.13035]
 */
export function visionTower<T extends Tensor>(b: Backend<T>, w: VisionTower<T>, pixels: T, tap?: Tap<T>): T {
  const patches = b.patches(pixels, w.config.patchSize);
  const embedded = b.linear(patches, w.patchEmbedding, { add: w.positions, exact: true });
  const x = encoder(b, embedded, w.blocks, w.config.heads, tap);
  const last = b.layerNorm(x, w.norm);
  tap?.("last_hidden_state", last);
  return mapHead(b, last, w.head, w.config.heads);
}

/**
 * Multihead attention pooling: one learned query over all tokens, then `h + mlp(norm(h))`; [batch, tokens, hidden] to
 * [batch, 1, hidden]. [HF SiglipMultiheadAttentionPoolingHead; big_vision vit.py MAPHead]
 */
function mapHead<T extends Tensor>(b: Backend<T>, x: T, w: MapHead<T>, heads: number): T {
  const hidden = x.shape[2];
  const query = b.linear(w.probe, w.q);
  const kv = b.linear(x, w.kv);
  const pooled = b.attention(part(query, 0, hidden), part(kv, 0, hidden), part(kv, 1, hidden), heads);
  return mlp(b, b.linear(pooled, w.out, { exact: true }), w.norm, w.mlp);
}

/** Binds the image tower's tensors, each checked against the config, in the order of published files. */
export async function loadVisionTower<T extends Tensor>(p: Params<T>, config: VisionConfig): Promise<VisionTower<T>> {
  const { hidden, mlp: inner, patchSize, channels, tokens, eps } = config;
  const embeddings = p.at("embeddings");
  const head = p.at("head");
  return {
    config,
    patchEmbedding: await embeddings.linear("patch_embedding", [hidden, channels, patchSize, patchSize]),
    positions: await embeddings.tensor("position_embedding.weight", [tokens, hidden]),
    blocks: await p.blocks("encoder.layers", config),
    head: {
      ...(await head.at("attention").inProjection(hidden)),
      out: await head.linear("attention.out_proj", [hidden, hidden]),
      norm: await head.norm("layernorm", hidden, eps),
      mlp: await head.at("mlp").mlp(hidden, inner),
      probe: await head.tensor("probe", [1, 1, hidden]),
    },
    norm: await p.norm("post_layernorm", hidden, eps),
  };
}
