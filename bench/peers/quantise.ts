// The weights of others: what their own tools make of a float32 matrix.

/** Codes of whole rows, and a scale for each row or group. */
export interface Quantised {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

/** Symmetric codes from -`top` to `top` of a matrix [out, depth], a scale for each row. */
export function byRow(weight: Float32Array, depth: number, top: number): Quantised {
  const scales = new Float32Array(weight.length / depth);
  const codes = new Int8Array(weight.length);
  for (let row = 0; row < scales.length; row++) {
    const [from, to] = [row * depth, (row + 1) * depth];
    let most = 0;
    for (let i = from; i < to; i++) most = Math.max(most, Math.abs(weight[i]));
    scales[row] = most / top || 1;
    for (let i = from; i < to; i++) codes[i] = Math.round(weight[i] / scales[row]);
  }
  return { codes, scales };
}

/** Two's complement nibbles, the first of two in the low half. */
export function nibbles(codes: Int8Array): Uint8Array {
  return Uint8Array.from({ length: codes.length / 2 }, (_, i) => (codes[2 * i] & 15) | ((codes[2 * i + 1] & 15) << 4));
}

/** Weights that share a scale in MatMulNBits. */
export const BLOCK = 32;

/**
 * A matrix [out, depth] as MatMulNBits takes it: nibbles around 8, a scale for each block of 32, by which the largest of a
 * block becomes -8 (as onnxruntime's own quantiser does). Rows are padded to whole blocks.
 */
export function byBlock(weight: Float32Array, depth: number): { codes: Uint8Array; scales: Float32Array } {
  const [out, blocks] = [weight.length / depth, Math.ceil(depth / BLOCK)];
  const scales = new Float32Array(out * blocks);
  const codes = new Uint8Array((scales.length * BLOCK) / 2).fill(0x88);
  for (let block = 0; block < scales.length; block++) {
    const row = Math.floor(block / blocks);
    const from = row * depth + (block % blocks) * BLOCK;
    const values = weight.subarray(from, Math.min(from + BLOCK, (row + 1) * depth));
    const largest = values.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    scales[block] = largest / -8;
    if (largest === 0) continue;
    for (const [i, value] of values.entries()) {
      const code = Math.max(0, Math.min(15, Math.round(value / scales[block]) + 8));
      const at = (block * BLOCK + i) >> 1;
      codes[at] = i % 2 === 0 ? (codes[at] & 0xf0) | code : (codes[at] & 0x0f) | (code << 4);
    }
  }
  return { codes, scales };
}
