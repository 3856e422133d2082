import { toFloat32 } from "../../support/numbers.ts";
import type { RowChunk } from "../packing.ts";
import type { Weight, WeightDType } from "../program.ts";
import { GROUP, padded } from "../shape.ts";

/** Bits of one stored weight, its share of the scales not counted. */
const BITS: Readonly<Record<WeightDType, number>> = { f32: 32, f16: 16, q8: 8, i8: 8, q4: 4 };

/** Rows as kernels/linear.wgsl reads them, and the scales of quantised ones. */
export interface StoredRows {
  readonly bytes: Uint8Array;
  readonly scales?: Uint8Array;
}

/** Bytes of a row as it is stored, padded, and of its scales. */
export function rowBytes({ shape, dtype }: Weight): { codes: number; scales: number } {
  const stride = padded(shape[1]);
  return { codes: (stride * BITS[dtype]) / 8, scales: BITS[dtype] < 16 ? (stride / GROUP) * 2 : 0 };
}

/** Whether a chunk's rows are in the precision that the device stores, though perhaps not padded. */
export function isStored(chunk: RowChunk, { dtype }: Weight): boolean {
  return chunk.dtype.toLowerCase() === dtype;
}

/**
 * Rows as the device stores them, of a chunk in the precision of the weight, or of any floats for one of f32: the chunk's own
 * bytes where they are so already.
 */
export function store(chunk: RowChunk, weight: Weight): StoredRows {
  if (chunk.scales) return chunk;
  if (isStored(chunk, weight)) return { bytes: padBytes(chunk, rowBytes(weight).codes) };
  const values = toFloat32(chunk.bytes, chunk.dtype);
  return store({ ...chunk, dtype: "F32", bytes: new Uint8Array(values.buffer) }, weight);
}

/** Rows filled up with zeros to `stride` bytes each. */
function padBytes({ bytes, rows }: RowChunk, stride: number): Uint8Array {
  const width = bytes.length / rows;
  if (width === stride) return bytes;
  const out = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++) out.set(bytes.subarray(row * width, (row + 1) * width), row * stride);
  return out;
}
