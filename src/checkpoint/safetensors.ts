/**
 * Reads and writes safetensors files: https://github.com/huggingface/safetensors#format. A file is a little-endian
 * 64-bit header length, a JSON header of names, dtypes, shapes and byte ranges, and the tensors' bytes one after
 * another. Usable alone as `siglip/safetensors`. Whatever is wrong with a file or an argument is told by a SiglipError.
 * @module siglip/safetensors
 */

export { type ErrorCode, SiglipError } from "../support/error.ts";
export type {} from "../support/platform-types.ts";
export { asTyped, type DType, elementSize, type TypedArrays } from "./dtype.ts";
export { type Header, readHeader, readTensor, type TensorInfo } from "./read-safetensors.ts";
export { type ByteRange, bytesSource, type FileSize, type Source } from "./source.ts";
export { encodeHeader, type TensorData, writeSafetensors } from "./write-safetensors.ts";
