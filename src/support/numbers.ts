import { mismatch } from "./error.ts";

/** The floating-point formats a checkpoint stores weights in, by their safetensors names. */
export type FloatDType = "F64" | "F32" | "F16" | "BF16";

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);
let halves: Uint32Array | undefined; // every half's float32 bits, made at first use

/** IEEE half precision to a number, exact. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/**
 * A float32 to IEEE half precision bits, rounded to nearest even; what lies above 65504 + half a step becomes infinity.
 */
export function floatToHalf(value: number): number {
  float[0] = value;
  const sign = (bits[0] >>> 16) & 0x8000;
  const magnitude = bits[0] & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal halves are multiples of 2^-24: adding 0.5 lines the float's last bit up with that step.
    float[0] = Math.abs(value) + 0.5;
    return sign | (bits[0] - 0x3f000000);
  }
  return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
}

/** Float32 values to IEEE half precision bits, rounded as `floatToHalf` rounds. */
export function float32ToHalf(values: Float32Array): Uint16Array {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < source.length; i++) {
    const magnitude = source[i] & 0x7fffffff;
    out[i] =
      magnitude >= 0x38800000 && magnitude < 0x477ff000
        ? ((source[i] >>> 16) & 0x8000) | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13)
        : floatToHalf(values[i]);
  }
  return out;
}

/**
 * Little-endian stored floats to float32: exact for all formats but F64, which is rounded to nearest even.
 * Any byte alignment is taken. Aligned F32 comes back as a view of the same memory, everything else as a copy.
 * Throws a SiglipError where the bytes are no whole number of elements.
 */
export function toFloat32(bytes: Uint8Array, dtype: FloatDType): Float32Array {
  const size = dtype === "F64" ? 8 : dtype === "F32" ? 4 : 2;
  if (bytes.length % size !== 0) {
    const wanted = `a whole number of ${dtype} elements of ${size} bytes`;
    throw mismatch(
      "bad-checkpoint",
      "weights",
      wanted,
      `${bytes.length} bytes`,
      "fetch the file again, it was cut short",
    );
  }
  const { buffer, byteOffset } = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const length = bytes.length / size;
  if (dtype === "F32") return new Float32Array(buffer, byteOffset, length);
  if (dtype === "F64") return Float32Array.from(new Float64Array(buffer, byteOffset, length));
  const stored = new Uint16Array(buffer, byteOffset, length);
  const out = new Uint32Array(length);
  if (dtype === "BF16") {
    for (let i = 0; i < length; i++) out[i] = stored[i] << 16;
  } else {
    halves ??= new Uint32Array(Float32Array.from({ length: 65536 }, (_, half) => halfToFloat(half)).buffer);
    const table = halves;
    for (let i = 0; i < length; i++) out[i] = table[stored[i]];
  }
  return new Float32Array(out.buffer);
}
/** Float arrays one after another. */
export function joinFloats(parts: readonly Float32Array[]): Float32Array {
  const data = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let filled = 0;
  for (const part of parts) {
    data.set(part, filled);
    filled += part.length;
  }
  return data;
}

/** Pieces of bytes as one. */
export function concatenate(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Pieces that come to `length` bytes as one, as they arrive; `onBytes` is told how many have. */
export async function collect(
  pieces: AsyncIterable<Uint8Array>,
  length: number,
  onBytes?: (arrived: number) => void,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
    onBytes?.(at);
  }
  return bytes;
}
