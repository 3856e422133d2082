import { mismatch } from "../support/error.ts";
import { float32ToHalf, toFloat32 } from "../support/numbers.ts";
import type { VectorDType } from "./vectors.ts";

/** Bytes of a value. */
export const VALUE_BYTES: Readonly<Record<VectorDType, number>> = { f32: 4, f16: 2, i8: 1 };

/** The greatest scale of integers: 128 times it is the greatest float32. */
export const MOST_SCALE = (2 - 2 ** -23) * 2 ** 120;

/** The greatest magnitude that each dtype stores. */
const MOST: Readonly<Record<VectorDType, number>> = { f32: 128 * MOST_SCALE, f16: 65504, i8: 127 * MOST_SCALE };

/** The least float32 above 0. */
const LEAST = 2 ** -149;

/**
 * An embedding as it is stored. What comes back differs from a value v by nothing as f32; as f16 by at most |v| / 2048
 * or 2^-25, whichever is more; as i8 by at most half the scale, max|v| / 254, and the rounding of float32. Throws a
 * SiglipError for values that are not finite, or beyond 65504 for f16 and 3.376e38 for i8.
 */
export function encodeVector(values: Float32Array, dtype: VectorDType): { bytes: Uint8Array; scale: number } {
  let top = 0;
  for (const value of values) {
    top = Math.max(top, Math.abs(value)); // NaN stays
  }
  if (!(top <= MOST[dtype])) {
    const wanted = `finite values${dtype === "f32" ? "" : ` of at most ${MOST[dtype]}`}`;
    throw mismatch("bad-input", "an embedding", wanted, `${top}`, "embed again, or store float32");
  }
  if (dtype === "f32") return { bytes: bytesOf(values.slice()), scale: 1 };
  if (dtype === "f16") return { bytes: bytesOf(float32ToHalf(values)), scale: 1 };
  let scale = top === 0 ? 1 : Math.fround(top / 127);
  // Steps of scales below the normal ones are coarse: rounded down, the scale would not reach the top.
  if (scale < 2 ** -126) scale += LEAST;
  const integers = new Int8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    integers[i] = Math.max(-127, Math.min(127, Math.round(values[i] / scale)));
  }
  return { bytes: bytesOf(integers), scale };
}

/** The values [width] of a stored embedding; of aligned f32 a view of the same memory. */
export function decodeVector({ bytes, scale }: { bytes: Uint8Array; scale: number }, dtype: VectorDType): Float32Array {
  if (dtype !== "i8") return toFloat32(bytes, dtype === "f32" ? "F32" : "F16");
  return scaled(bytes, scale);
}

/** Integers of 8 bits times their scale. */
export function scaled(bytes: Uint8Array, scale: number): Float32Array {
  const integers = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const values = new Float32Array(bytes.length);
  for (let i = 0; i < values.length; i++) values[i] = integers[i] * scale;
  return values;
}

/** Whether stored values are numbers, integers times their scale. */
export function areFinite({ bytes, scale }: { bytes: Uint8Array; scale: number }, dtype: VectorDType): boolean {
  if (!(scale >= 0 && scale <= MOST_SCALE)) return false;
  if (dtype === "i8") return true;
  const size = VALUE_BYTES[dtype];
  const { buffer, byteOffset } = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  // All bits of the exponent are set in what is no number, whatever else is.
  if (dtype === "f32") {
    const bits = new Uint32Array(buffer, byteOffset, bytes.length / 4);
    for (let i = 0; i < bits.length; i++) if ((bits[i] & 0x7f800000) === 0x7f800000) return false;
  } else {
    const bits = new Uint16Array(buffer, byteOffset, bytes.length / 2);
    for (let i = 0; i < bits.length; i++) if ((bits[i] & 0x7c00) === 0x7c00) return false;
  }
  return true;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
