import { mismatch } from "../support/error.ts";
import { type DType, elementSize } from "./dtype.ts";
import { byteLength, maxHeader, quote, short, type TensorInfo } from "./read-safetensors.ts";

/** One tensor to write. Data in parts is asked for when its turn comes, and only a part is held at a time. */
export interface TensorData {
  /** Unlike every other tensor's. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: DType;
  /** Outermost axis first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Row-major and little-endian, as many bytes as the shape and the dtype say. */
  readonly data: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/**
 * The first bytes of a safetensors file, up to the tensors' data, which follow in the order given and without gaps.
 * Spaces pad it to 8 bytes. Throws a SiglipError for a name given twice, a shape that is none, or more than 100 MB.
 */
export function encodeHeader(
  tensors: Iterable<Pick<TensorInfo, "name" | "dtype" | "shape">>,
  metadata: Iterable<readonly [string, string]> = [],
): Uint8Array {
  const entries = new Map<string, string>();
  const pairs = new Map(metadata);
  if (pairs.has("__proto__")) unwritable("their metadata has the key __proto__");
  if (pairs.size > 0) entries.set("__metadata__", `{${[...pairs].map((pair) => pair.map(quote).join(":")).join()}}`);
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (name === "__metadata__" || name === "__proto__") unwritable(`a tensor is called ${name}`);
    if (entries.has(name)) unwritable(`the name ${short(name)} is given twice`);
    const end = offset + byteLength(name, dtype, shape, unwritable);
    entries.set(name, `{"dtype":"${dtype}","shape":[${shape.join()}],"data_offsets":[${offset},${end}]}`);
    offset = end;
  }
  const json = new TextEncoder().encode(`{${[...entries].map(([name, entry]) => `${quote(name)}:${entry}`).join()}}`);
  const length = Math.ceil(json.length / 8) * 8;
  if (length > maxHeader) unwritable(`their header takes ${length} bytes where ${maxHeader} are allowed`);
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return header;
}

/**
 * A safetensors file as a stream of chunks: the header, then every tensor's data as it arrives. As in the reference
 * writer, larger elements come first (else in the order given), so that every tensor is aligned. Throws what
 * `encodeHeader` throws, and a SiglipError for data that turns out longer or shorter than its shape says.
 */
export async function* writeSafetensors(
  tensors: Iterable<TensorData>,
  metadata?: Iterable<readonly [string, string]>,
): AsyncGenerator<Uint8Array> {
  const sorted = [...tensors].sort((a, b) => elementSize(b.dtype) - elementSize(a.dtype));
  yield encodeHeader(sorted, metadata);
  for (const { name, dtype, shape, data } of sorted) {
    const wanted = byteLength(name, dtype, shape, unwritable);
    let length = 0;
    for await (const chunk of data instanceof Uint8Array ? [data] : data) {
      length += chunk.length;
      if (!(length <= wanted)) break;
      yield chunk;
    }
    if (length !== wanted) {
      const found = length < wanted ? `only ${length} bytes` : "more bytes";
      unwritable(`${short(name)} has ${found} where ${dtype} [${shape.join(", ")}] takes ${wanted}`);
    }
  }
}

function unwritable(found: string): never {
  throw mismatch("bad-input", "the tensors", "ones that make a safetensors file", `that ${found}`, "correct them");
}
