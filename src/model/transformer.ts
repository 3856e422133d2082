import type { Backend, Linear, Norm, Tensor, View } from "../tensor/backend.ts";

/** Called with every named intermediate while a tower is recorded; read it with `backend.read` or leave it. */
export type Tap<T> = (name: string, value: T) => void;

/** Weights of the two-layer perceptron: fc1 [mlp, hidden], fc2 [hidden, mlp]. */
export interface Mlp<T> {
  readonly fc1: Linear<T>;
  readonly fc2: Linear<T>;
}

/** Weights of one pre-norm encoder block; qkv [3 hidden, hidden] holds q, k, v in that order. */
export interface Block<T> {
  readonly norm1: Norm<T>;
  readonly qkv: Linear<T>;
  readonly out: Linear<T>;
  readonly norm2: Norm<T>;
  readonly mlp: Mlp<T>;
}

/** `x + fc2(gelu(fc1(norm(x))))`: x [..., hidden]. */
export function mlp<T extends Tensor>(b: Backend<T>, x: T, norm: Norm<T>, w: Mlp<T>): T {
  return b.linear(b.linear(b.layerNorm(x, norm), w.fc1, { gelu: true }), w.fc2, { add: x, exact: true });
}

/** The `index`-th of the equal parts of `width` columns that a fused projection holds. */
export function part<T extends Tensor>(tensor: T, index: number, width: number): View<T> {
  return { tensor, offset: index * width, width };
}

/** Self-attention of x [batch, tokens, hidden] over its own tokens, before the output projection. */
export function attend<T extends Tensor>(b: Backend<T>, x: T, qkv: Linear<T>, heads: number): T {
  const hidden = x.shape[2];
  const fused = b.linear(x, qkv);
  return b.attention(part(fused, 0, hidden), part(fused, 1, hidden), part(fused, 2, hidden), heads);
}

/**
 * A pre-norm block: `x += attn(norm1(x)); x += mlp(norm2(x))`, x [batch, tokens, hidden].
 * [HF SiglipEncoderLayer; big_vision vit.py Encoder1DBlock]
 */
export function block<T extends Tensor>(b: Backend<T>, x: T, w: Block<T>, heads: number): T {
  return b.scope(() => {
    const attended = b.scope(() => attend(b, b.layerNorm(x, w.norm1), w.qkv, heads));
    return mlp(b, b.linear(attended, w.out, { add: x, exact: true }), w.norm2, w.mlp);
  });
}

/** All blocks in turn; taps `hidden_states.0` (the input) to `hidden_states.N`, as Hugging Face numbers them. */
export function encoder<T extends Tensor>(
  b: Backend<T>,
  embedded: T,
  blocks: readonly Block<T>[],
  heads: number,
  tap?: Tap<T>,
): T {
  // Each layer's scope holds the one before it, so that a residual is recycled as soon as the next stands.
  const upTo = (layer: number): T => {
    const x = layer === 0 ? embedded : b.scope(() => block(b, upTo(layer - 1), blocks[layer - 1], heads));
    tap?.(`hidden_states.${layer}`, x);
    return x;
  };
  return upTo(blocks.length);
}
