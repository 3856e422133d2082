import { type DType, elementSize } from "./dtype.ts";
import { InflatedSource } from "./inflated.ts";
import { headerPlace, parseHeader } from "./npy-header.ts";
import type { ByteRange, Source } from "./source.ts";
import { quote, readDirectory, type ZipEntry, type ZipFail, zipFail } from "./zip.ts";

/** One array of an npz file. */
export interface NpzArray {
  /** Of its entry, without ".npy". */
  readonly name: string;
  /** Type of its elements; numpy's 2-byte void is the bfloat16 that jax saves. */
  readonly dtype: DType;
  /** Outermost axis first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Where its bytes are read, row-major and little-endian, from `begin` to before `end`. */
  readonly source: Source;
  readonly begin: number;
  readonly end: number;
  /** What is read of the npz file for that. */
  readonly range: ByteRange;
}

/** Entries looked at together: on a server each is a request. */
const AT_ONCE = 16;

/** What a local header and an array's header take together as numpy writes them, and room for long names. */
const USUAL = 1024;

/**
 * The arrays of an npz file whose names `wanted` takes, by name. Only the directory and the arrays' headers are read.
 * Rejects with a SiglipError for what is no npz file, and for an array that is no plain one: of objects, big-endian,
 * in Fortran's order, of a shape that its entry's size does not bear out.
 */
export async function readNpz(
  source: Source,
  wanted: (name: string) => boolean,
  signal?: AbortSignal,
): Promise<Map<string, NpzArray>> {
  const entries = [...(await readDirectory(source, signal)).values()].filter(
    ({ name }) => name.endsWith(".npy") && wanted(name.slice(0, -4)),
  );
  const arrays = new Map<string, NpzArray>();
  for (let from = 0; from < entries.length; from += AT_ONCE) {
    const read = entries.slice(from, from + AT_ONCE).map((entry) => readArray(source, entry, signal));
    for (const array of await Promise.all(read)) arrays.set(array.name, array);
  }
  return arrays;
}

async function readArray(source: Source, entry: ZipEntry, signal?: AbortSignal): Promise<NpzArray> {
  const { offset, limit, packed, size, method, crc } = entry;
  const fail: ZipFail = (found) => zipFail(source)(`its array ${quote(entry.name)} ${found}`);
  const first = await source.read(offset, Math.min(limit - offset, USUAL), signal);
  const view = new DataView(first.buffer, first.byteOffset, first.length);
  if (view.getUint32(0, true) !== 0x04034b50) fail(`has no local header at byte ${offset}`);
  const local = 30 + view.getUint16(26, true) + view.getUint16(28, true);
  const range = { begin: offset + local, end: offset + local + packed };
  if (range.end > limit) fail(`ends at byte ${range.end}, after the next one begins at ${limit}`);
  const inflated = method === "deflated" ? new InflatedSource(source, range, { size, crc }) : undefined;
  // Of a stored one the header has mostly come with the local one.
  const read = async (at: number, length: number) => {
    if (at + length > size) fail(`has only ${size} bytes`);
    if (inflated) return inflated.read(at, length, signal);
    const here = first.subarray(local + at, local + at + length);
    return here.length === length ? here : source.read(range.begin + at, length, signal);
  };
  const prefix = await read(0, 12);
  const { from, data } = headerPlace(prefix, fail);
  const decode = (part: Uint8Array) => new TextDecoder("latin1").decode(part);
  // On from there: what goes back is inflated, and on a server asked for, again.
  const text = decode(prefix.subarray(from)) + decode(await read(12, Math.max(0, data - 12)));
  const { dtype, shape } = parseHeader(text, fail);
  inflated?.rest();
  const bytes = shape.reduce((product, axis) => product * axis, elementSize(dtype));
  if (bytes !== size - data) fail(`has ${size - data} bytes where ${dtype} [${shape.join(", ")}] takes ${bytes}`);
  const begin = inflated ? data : range.begin + data;
  const name = entry.name.slice(0, -4);
  const physical = inflated ? range : { begin, end: range.end };
  return { name, dtype, shape, source: inflated ?? source, begin, end: begin + bytes, range: physical };
}
