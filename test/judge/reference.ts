/** What the operations mean, in float64 and without a thought for speed: the judge of every backend. */

/** `x wᵀ + bias`, GELU if asked, plus an addend that repeats: x [rows, depth], w [out, depth]. */
export function linear(
  x: Float32Array,
  w: Float32Array,
  bias: Float32Array,
  depth: number,
  { gelu = false, add }: { gelu?: boolean; add?: Float32Array } = {},
): Float64Array {
  const out = bias.length;
  return Float64Array.from({ length: (x.length / depth) * out }, (_, i) => {
    const row = Math.floor(i / out) * depth;
    const column = (i % out) * depth;
    let sum = bias[i % out];
    for (let k = 0; k < depth; k++) sum += x[row + k] * w[column + k];
    return (gelu ? geluTanh(sum) : sum) + (add ? add[i % add.length] : 0);
  });
}

/** [torch.nn.functional.gelu, approximate="tanh"] */
export function geluTanh(x: number): number {
  return (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
}

/** [torch.nn.LayerNorm] over rows of `weight.length` features. */
export function layerNorm(x: Float32Array, weight: Float32Array, bias: Float32Array, eps: number): Float64Array {
  const width = weight.length;
  const y = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += width) {
    const features = [...x.subarray(row, row + width)];
    const mean = features.reduce((sum, value) => sum + value, 0) / width;
    const variance = features.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
    for (const [d, value] of features.entries()) {
      y[row + d] = ((value - mean) / Math.sqrt(variance + eps)) * weight[d] + bias[d];
    }
  }
  return y;
}

/** Columns [offset, offset + width) of a [batch, tokens, stride] array. */
export interface View {
  data: Float32Array;
  tokens: number;
  stride: number;
  offset: number;
}

/** [torch.nn.functional.scaled_dot_product_attention] for all heads; a q that holds one item serves every item. */
export function attention(
  q: View,
  k: View,
  v: View,
  width: number,
  heads: number,
  lengths?: readonly number[],
): Float64Array {
  const batch = k.data.length / (k.tokens * k.stride);
  const single = q.data.length === q.tokens * q.stride;
  const head = width / heads;
  const y = new Float64Array(batch * q.tokens * width);
  const at = (view: View, item: number, token: number, column: number) =>
    view.data[(item * view.tokens + token) * view.stride + view.offset + column];
  for (let item = 0; item < batch; item++) {
    for (let i = 0; i < q.tokens; i++) {
      for (let h = 0; h < heads; h++) {
        const scores = Array.from({ length: lengths?.[item] ?? k.tokens }, (_, j) => {
          let dot = 0;
          for (let d = h * head; d < (h + 1) * head; d++) dot += at(q, single ? 0 : item, i, d) * at(k, item, j, d);
          return dot / Math.sqrt(head);
        });
        const top = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - top));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (let d = h * head; d < (h + 1) * head; d++) {
          let sum = 0;
          for (const [j, weight] of weights.entries()) sum += weight * at(v, item, j, d);
          y[(item * q.tokens + i) * width + d] = sum / total;
        }
      }
    }
  }
  return y;
}

/** Seeded normal-like numbers (the sum of four uniforms, variance 1), so that every run sees the same. */
export function random(length: number, seed: number, scale = 1): Float32Array {
  let state = (seed * 0x9e3779b9 + 1) >>> 0;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32 - 0.5;
  };
  return Float32Array.from({ length }, () => scale * Math.sqrt(3) * (uniform() + uniform() + uniform() + uniform()));
}

/** [torch.nn.functional.unfold] of pictures [batch, channels, size, size], transposed: rows in (channel, row, column) order. */
export function patches(
  x: Float32Array,
  { batch, channels, size, patch }: { batch: number; channels: number; size: number; patch: number },
): Float64Array {
  const grid = Math.floor(size / patch);
  const out: number[] = [];
  for (let b = 0; b < batch; b++)
    for (let top = 0; top < grid * patch; top += patch)
      for (let left = 0; left < grid * patch; left += patch)
        for (let c = 0; c < channels; c++)
          for (let row = top; row < top + patch; row++)
            for (let column = left; column < left + patch; column++)
              out.push(x[((b * channels + c) * size + row) * size + column]);
  return Float64Array.from(out);
}
