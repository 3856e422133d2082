import type { Linear, Norm, Recorder, Value, View } from "../tensor/program.ts";

/** Weights of the two-layer perceptron: fc1 [mlp, hidden], fc2 [hidden, mlp]. */
export interface Mlp {
  readonly fc1: Linear;
  readonly fc2: Linear;
}

/** Weights of one pre-norm encoder block; qkv [3 hidden, hidden] holds q, k, v in that order. */
export interface Block {
  readonly norm1: Norm;
  readonly qkv: Linear;
  readonly out: Linear;
  readonly norm2: Norm;
  readonly mlp: Mlp;
}

/** `x + fc2(gelu(fc1(norm(x))))`: x [..., hidden]. */
export function mlp(p: Recorder, x: Value, norm: Norm, w: Mlp): Value {
  return p.linear(p.linear(p.layerNorm(x, norm), w.fc1, { gelu: true }), w.fc2, { add: x, exact: true });
}

/** The `index`-th of the equal parts of `width` columns that a fused projection holds. */
export function part(value: Value, index: number, width: number): View {
  return { value, offset: index * width, width };
}

/**
 * Self-attention of x [batch, tokens, hidden] over its own tokens, as many as `lengths` [batch] says, before the output
 * projection.
 */
export function attend(p: Recorder, x: Value, qkv: Linear, heads: number, lengths?: Value): Value {
  const hidden = x.shape[2];
  const fused = p.linear(x, qkv);
  return p.attention(part(fused, 0, hidden), part(fused, 1, hidden), part(fused, 2, hidden), heads, lengths);
}

/**
 * A pre-norm block: `x += attn(norm1(x)); x += mlp(norm2(x))`, x [batch, tokens, hidden].
 * [HF SiglipEncoderLayer; big_vision vit.py Encoder1DBlock]
 */
export function encoderBlock(p: Recorder, x: Value, w: Block, heads: number, lengths?: Value): Value {
  const attended = attend(p, p.layerNorm(x, w.norm1), w.qkv, heads, lengths);
  return mlp(p, p.linear(attended, w.out, { add: x, exact: true }), w.norm2, w.mlp);
}

/** All blocks in turn; taps `hidden_states.0` (the input) to `hidden_states.N`, as Hugging Face numbers them. */
export function encoder(p: Recorder, embedded: Value, blocks: readonly Block[], heads: number, lengths?: Value): Value {
  let x = embedded;
  p.tap("hidden_states.0", x);
  for (const [index, block] of blocks.entries()) {
    x = encoderBlock(p, x, block, heads, lengths);
    p.tap(`hidden_states.${index + 1}`, x);
  }
  return x;
}
