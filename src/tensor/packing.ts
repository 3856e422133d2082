import { mismatch, type SiglipError } from "../support/error.ts";
import type { Weight, WeightDType } from "./program.ts";
import { GROUP, padded } from "./shape.ts";

/** Consecutive rows of a matrix as they stand in a file: little-endian, row-major. */
export interface FloatChunk {
  readonly dtype: "F32" | "F16" | "BF16";
  readonly rows: number;
  readonly bytes: Uint8Array;
  readonly scales?: undefined;
}

/**
 * Consecutive rows of a matrix as devices store them: each padded with zeros to a multiple of 32 columns. `bytes` are the
 * codes, row-major: of Q8 one signed byte each; of Q4 two to a byte, low nibble first, 8 above the weight. `scales` are half
 * precision bits, little-endian, one for 32 weights. A weight is its code times its scale.
 */
export interface PackedChunk {
  readonly dtype: "Q8" | "Q4";
  readonly rows: number;
  readonly bytes: Uint8Array;
  readonly scales: Uint8Array;
}

/** Consecutive rows of a matrix. Packed ones are taken only where the weight is stored as they are. */
export type RowChunk = FloatChunk | PackedChunk;

/** A matrix [out, in] that a backend is to store, and what would take less room. */
export interface WeightSpec extends Weight {
  /** Told where there is no room: the next smaller dtype, and the bytes of all weights in it. */
  readonly smaller?: { readonly dtype: WeightDType; readonly bytes: number };
}

/** Rows of `width` elements, each filled up with zeros to `stride`. */
export function padRows(data: Float32Array, width: number, stride: number): Float32Array<ArrayBuffer> {
  const rows = data.length / width;
  const out = new Float32Array(rows * stride);
  for (let row = 0; row < rows; row++) out.set(data.subarray(row * width, (row + 1) * width), row * stride);
  return out;
}

/** The first `width` elements of every row of `stride`. */
export function cutRows(data: Float32Array, stride: number, width: number): Float32Array {
  if (width === stride) return data;
  const rows = data.length / stride;
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) out.set(data.subarray(row * stride, row * stride + width), row * width);
  return out;
}

/** Tells of weights that no precision can hold. */
export function notFinite(name: string): SiglipError {
  return mismatch("bad-checkpoint", name, "finite weights", "others", "the checkpoint is damaged, fetch it again");
}

/** Tells of a matrix whose rows ended early or did not end. */
export function wrongRows({ name, shape }: Weight, found: number): SiglipError {
  return mismatch("bad-checkpoint", name, `${shape[0]} rows`, `${found}`, "fetch the checkpoint again");
}

/** Throws a SiglipError unless a chunk may become part of the weight and has the bytes of its rows. */
export function checkChunk({ name, shape, dtype }: Weight, chunk: RowChunk): void {
  const depth = shape[1];
  const packed = chunk.scales !== undefined;
  if (packed && chunk.dtype.toLowerCase() !== dtype) {
    const wanted = `float rows or rows packed as ${dtype}`;
    throw mismatch("bad-input", name, wanted, chunk.dtype, "load with the dtype they were packed for");
  }
  const groups = padded(depth) / GROUP;
  const codes = { F32: 4 * depth, F16: 2 * depth, BF16: 2 * depth, Q8: 32 * groups, Q4: 16 * groups }[chunk.dtype];
  const wanted = [codes * chunk.rows, ...(packed ? [2 * groups * chunk.rows] : [])];
  const found = [chunk.bytes.length, ...(packed ? [chunk.scales.length] : [])];
  if (wanted.join() === found.join()) return;
  const rows = `${chunk.rows} rows of ${depth} ${chunk.dtype} weights in ${wanted.join(" and ")} bytes`;
  throw mismatch("bad-checkpoint", name, rows, found.join(" and "), "the data was cut short, fetch it again");
}
