import { float32ToHalf, halfToFloat } from "../../numbers.ts";
import type { WeightDType } from "../backend.ts";
import { GROUP, quantise } from "../quantise.ts";

/** Bits of one stored weight, its share of the scales not counted. */
export const WEIGHT_BITS: Readonly<Record<WeightDType, number>> = { f32: 32, f16: 16, q8: 8, q4: 4 };

/** Rows as kernels/linear.wgsl reads them. */
export interface PackedRows {
  readonly words: ArrayBufferView<ArrayBuffer>;
  /** Half precision bits, one for 32 weights; only of quantised ones. */
  readonly scales?: Uint16Array<ArrayBuffer>;
}

/** Packs padded rows for the device. */
export function pack(rows: Float32Array<ArrayBuffer>, dtype: WeightDType): PackedRows {
  if (dtype === "f32") return { words: rows };
  if (dtype === "f16") return { words: float32ToHalf(rows) as Uint16Array<ArrayBuffer> };
  const { codes, scales } = quantise(rows, dtype);
  if (dtype === "q8") return { words: codes as Int8Array<ArrayBuffer>, scales };
  const words = new Uint8Array(codes.length / 2);
  for (let i = 0; i < words.length; i++) words[i] = (codes[2 * i] + 8) | ((codes[2 * i + 1] + 8) << 4);
  return { words, scales };
}

/** Scales of a matrix of `rows` rows of `stride` weights. */
export function scaleCount(rows: number, stride: number): number {
  return (rows * stride) / GROUP;
}

/** Half precision bits to float32. */
export function widen(halves: Uint16Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(halves, halfToFloat);
}
