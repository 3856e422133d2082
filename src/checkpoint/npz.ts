import { type DType, elementSize } from "./dtype.ts";
import { InflatedSource } from "./inflated.ts";
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

/** An array's header is at most this large. */
const MOST_HEADER = 2 ** 16;

/** numpy's names of element types, all little-endian. */
const DTYPES: Readonly<Record<string, DType>> = {
  "<f8": "F64",
  "<f4": "F32",
  "<f2": "F16",
  "|V2": "BF16",
  "<V2": "BF16",
  "<i8": "I64",
  "<i4": "I32",
  "<i2": "I16",
  "|i1": "I8",
  "<u8": "U64",
  "<u4": "U32",
  "<u2": "U16",
  "|u1": "U8",
  "|b1": "BOOL",
};

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

/** Where the text of an array's header and what follows it begin, by the first 12 bytes. */
function headerPlace(prefix: Uint8Array, fail: ZipFail): { from: number; data: number } {
  if ([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59].some((byte, i) => prefix[i] !== byte))
    fail("does not begin as npy files do");
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.length);
  const version = prefix[6];
  if (version < 1 || version > 3) fail(`has the npy version ${version} where 1 to 3 are known`);
  const from = version === 1 ? 10 : 12;
  const bytes = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (bytes > MOST_HEADER) fail(`has a header of ${bytes} bytes where ${MOST_HEADER} are allowed`);
  return { from, data: from + bytes };
}

/** The header is a Python dict of three known keys; nothing else is taken. */
function parseHeader(text: string, fail: ZipFail): { dtype: DType; shape: number[] } {
  const keys = ["descr", "fortran_order", "shape"];
  const member = /\s*'(descr|fortran_order|shape)'\s*:\s*('[^'\\]{1,20}'|True|False|\([\d,\s]{0,400}\))\s*(,|(?=\}))/y;
  const body = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
  const values = new Map<string, string>();
  for (let at = 0; body !== undefined && body.slice(at).trim() !== ""; at = member.lastIndex) {
    member.lastIndex = at;
    const [, key, value] = member.exec(`${body}}`) ?? fail(`has a header that is not numpy's: ${quote(text)}`);
    values.set(key, value);
  }
  const [descr = "", order, shape = ""] = keys.map((key) => values.get(key));
  if (order === "True") fail("lies in Fortran's order where C's is wanted");
  const dtype = descr.slice(1, -1);
  if (!Object.hasOwn(DTYPES, dtype))
    fail(`has the element type ${quote(dtype)} where plain little-endian numbers are wanted`);
  const axes = /^\(\s*((?:\d{1,15}\s*,\s*)*(?:\d{1,15}\s*)?)\)$/.exec(shape)?.[1];
  if (order !== "False" || axes === undefined) return fail(`has a header that is not numpy's: ${quote(text)}`);
  const sizes = axes.split(",").filter((axis) => axis.trim() !== "");
  if (sizes.length > 32) fail(`has ${sizes.length} axes where numpy knows 32`);
  return { dtype: DTYPES[dtype], shape: sizes.map(Number) };
}
