import { mismatch } from "../support/error.ts";

/**
 * The element types of safetensors, but for the complex and sub-byte ones (C64, F4, F6), as the typed arrays that hold
 * them.
 */
export interface TypedArrays {
  /** float64 */
  F64: Float64Array;
  /** float32 */
  F32: Float32Array;
  /** float16, its bits */
  F16: Uint16Array;
  /** bfloat16, the upper half of a float32's bits */
  BF16: Uint16Array;
  /** 8-bit float with 4 bits of exponent and 3 of mantissa, its bits */
  F8_E4M3: Uint8Array;
  /** 8-bit float with 5 bits of exponent and 2 of mantissa, its bits */
  F8_E5M2: Uint8Array;
  /** 8-bit power of two, the exponent's bits */
  F8_E8M0: Uint8Array;
  /** int64 */
  I64: BigInt64Array;
  /** int32 */
  I32: Int32Array;
  /** int16 */
  I16: Int16Array;
  /** int8 */
  I8: Int8Array;
  /** uint64 */
  U64: BigUint64Array;
  /** uint32 */
  U32: Uint32Array;
  /** uint16 */
  U16: Uint16Array;
  /** uint8 */
  U8: Uint8Array;
  /** 0 or 1 */
  BOOL: Uint8Array;
}

/** The name of an element type. */
export type DType = keyof TypedArrays;

interface Constructor<A> {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A;
}

/** The constructors by name; nothing else is a dtype. */
export const arrays: { readonly [D in DType]: Constructor<TypedArrays[D]> } = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  F8_E4M3: Uint8Array,
  F8_E5M2: Uint8Array,
  F8_E8M0: Uint8Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

/** Bytes per element. Throws a SiglipError for a dtype that is none. */
export function elementSize(dtype: DType): number {
  if (Object.hasOwn(arrays, dtype)) return arrays[dtype].BYTES_PER_ELEMENT;
  throw mismatch("bad-input", "dtype", `one of ${Object.keys(arrays).join(", ")}`, dtype, "choose one of them");
}

/**
 * Stored bytes as the typed array of their dtype, on a little-endian machine: a view where the alignment allows, else a
 * copy. Throws a SiglipError for bytes that are no whole number of elements.
 */
export function asTyped<D extends DType>(bytes: Uint8Array, dtype: D): TypedArrays[D] {
  const size = elementSize(dtype);
  if (bytes.length % size !== 0) {
    throw mismatch(
      "bad-input",
      "asTyped",
      `a whole number of ${dtype} elements of ${size} bytes`,
      `${bytes.length} bytes`,
      "pass all of a tensor's bytes",
    );
  }
  const { buffer, byteOffset } = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new arrays[dtype](buffer, byteOffset, bytes.length / size);
}
