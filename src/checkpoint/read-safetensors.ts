import { mismatch } from "../support/error.ts";
import { arrays, type DType, elementSize } from "./dtype.ts";
import type { Source } from "./source.ts";

/** Where one tensor lies in its file. */
export interface TensorInfo {
  /** The key of the header's JSON. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: DType;
  /** Outermost axis first; empty for a scalar. An axis may be 0. */
  readonly shape: readonly number[];
  /** Absolute offset of the first byte in the file; any alignment is valid. */
  readonly begin: number;
  /** Absolute offset past the last byte. */
  readonly end: number;
}

/** What a safetensors file says of itself, every claim checked against the others and against the file's size. */
export interface Header {
  /** In the header's order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free `__metadata__` map; empty where there is none. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** The format's own limit on the header, in bytes. */
export const maxHeader = 100_000_000;
/** PyTorch's limit on the number of axes. */
const maxAxes = 64;
/** Ten times what the largest published models have in all their files: a bound on time and memory. */
const maxNames = 1_000_000;

/**
 * Reads and checks a file's header; no tensor data is read. A header has at most 100 MB, never more than the file,
 * and a million names, which takes less than 1 GB of memory. Rejects with a SiglipError for every departure from the
 * format: a length beyond the file, invalid UTF-8 or JSON, a name given twice, an unknown dtype, bytes that do not
 * match the shape, that overlap, leave a gap, or do not end where the file ends.
 */
export async function readHeader(source: Source, signal?: AbortSignal): Promise<Header> {
  const fail: Fail = (found) => {
    throw mismatch(
      "bad-checkpoint",
      source.name,
      "a valid safetensors file",
      `that ${found}`,
      "fetch or write the file again",
    );
  };
  if (source.size < 8) fail(`it has only ${source.size} bytes`);
  const prefix = await source.read(0, 8, signal);
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true));
  if (length > source.size - 8) fail(`its header claims ${length} bytes where the file has ${source.size}`);
  if (length > maxHeader) fail(`its header claims ${length} bytes where ${maxHeader} are allowed`);
  const bytes = await source.read(8, length, signal);
  let text = "";
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    fail("its header is not valid UTF-8");
  }
  const header = new HeaderParser(text, fail).parse(8 + length);
  checkLayout(header, 8 + length, source.size, fail);
  return header;
}

/** The stored bytes of one tensor; a view of the file's memory where the source has it in memory. */
export function readTensor(source: Source, info: TensorInfo, signal?: AbortSignal): Promise<Uint8Array> {
  return source.read(info.begin, info.end - info.begin, signal);
}

/** Tells what is wrong with a file or with what is to become one. */
export type Fail = (found: string) => never;

/** A name as JSON, whole in a header. */
export const quote = (name: string) => JSON.stringify(name);
/** The same, shortened for a message. */
export const short = (name: string) => quote(name.length > 100 ? `${name.slice(0, 100)}…` : name);

/** The bytes of a tensor; fails for a shape that is none or too large. */
export function byteLength(name: string, dtype: DType, shape: readonly number[], fail: Fail): number {
  if (shape.length > maxAxes) fail(`${short(name)} has ${shape.length} axes where ${maxAxes} are allowed`);
  let bytes = elementSize(dtype);
  for (const axis of shape) {
    if (!Number.isSafeInteger(axis) || axis < 0) fail(`${short(name)} has the axis ${axis} in its shape`);
    bytes *= axis;
    if (bytes > Number.MAX_SAFE_INTEGER) fail(`${short(name)} has a shape of more than 2^53 bytes`);
  }
  return bytes;
}

function checkLayout({ tensors }: Header, begin: number, size: number, fail: Fail): void {
  let end = begin;
  for (const info of [...tensors.values()].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    const bytes = byteLength(info.name, info.dtype, info.shape, fail);
    const range = `bytes ${info.begin} to ${info.end}`;
    if (info.end - info.begin !== bytes) {
      fail(`${short(info.name)} lies in ${range} where ${info.dtype} [${info.shape.join(", ")}] takes ${bytes} bytes`);
    }
    if (info.end > size) fail(`${short(info.name)} lies in ${range} where the file has ${size}`);
    if (info.begin < end) fail(`${short(info.name)} in ${range} overlaps the tensor before it, which ends at ${end}`);
    if (info.begin > end) fail(`nothing owns bytes ${end} to ${info.begin}, before ${short(info.name)}`);
    end = info.end;
  }
  if (end < size) fail(`nothing owns bytes ${end} to ${size}, after the last tensor`);
}

/**
 * The header's grammar is so much narrower than JSON that reading just it is safer: names given twice show, no object
 * is keyed by a stranger's string, and nothing that a tensor does not need is ever built.
 */
class HeaderParser {
  private readonly text: string;
  private readonly fail: Fail;
  private at = 0;
  private member = "";

  constructor(text: string, fail: Fail) {
    this.text = text;
    this.fail = fail;
  }

  parse(dataBegin: number): Header {
    let metadata: ReadonlyMap<string, string> = new Map();
    if (this.text[0] !== "{") this.fail("its header does not begin with {");
    const members = this.object((key) => {
      this.member = key;
      if (key !== "__metadata__") return this.tensor(key, dataBegin);
      metadata = this.object(() => this.string());
      return undefined;
    });
    this.skipSpace();
    if (this.at < this.text.length) this.unexpected("the end of the header");
    members.delete("__metadata__");
    return { tensors: members as Map<string, TensorInfo>, metadata };
  }

  private tensor(name: string, dataBegin: number): TensorInfo {
    let dtype = "";
    let shape: number[] | undefined;
    let offsets: number[] = [];
    this.object((key) => {
      if (key === "dtype") dtype = this.string();
      else if (key === "shape") shape = this.sizes(name);
      else if (key === "data_offsets") offsets = this.sizes(name);
      else this.fail(`${short(name)} has the key ${short(key)} where dtype, shape and data_offsets are known`);
    });
    if (!Object.hasOwn(arrays, dtype)) this.fail(`${short(name)} has the unknown dtype ${short(dtype)}`);
    if (!shape) return this.fail(`${short(name)} has no shape`);
    if (offsets.length !== 2) this.fail(`${short(name)} has ${offsets.length} data_offsets where 2 are wanted`);
    return { name, dtype: dtype as DType, shape, begin: dataBegin + offsets[0], end: dataBegin + offsets[1] };
  }

  private object<V>(value: (key: string) => V): Map<string, V> {
    const members = new Map<string, V>();
    this.expect("{");
    if (this.accept("}")) return members;
    do {
      const key = this.string();
      if (members.has(key)) this.fail(`its header has the key ${short(key)} twice`);
      if (members.size === maxNames) this.fail(`its header has more than ${maxNames} names`);
      if (key === "__proto__") this.fail("its header has the key __proto__, which no tensor is called");
      this.expect(":");
      members.set(key, value(key));
    } while (this.accept(","));
    this.expect("}");
    return members;
  }

  private sizes(name: string): number[] {
    const sizes: number[] = [];
    this.expect("[");
    if (this.accept("]")) return sizes;
    do {
      if (sizes.length === maxAxes) this.fail(`${short(name)} has more than ${maxAxes} numbers in a shape or offset`);
      sizes.push(this.size(name));
    } while (this.accept(","));
    this.expect("]");
    return sizes;
  }

  private size(name: string): number {
    this.skipSpace();
    const number = /[-+.0-9eE]{1,40}/y;
    number.lastIndex = this.at;
    const digits = number.exec(this.text)?.[0] ?? this.unexpected("a number");
    if (!/^(0|[1-9]\d*)$/.test(digits) || !Number.isSafeInteger(Number(digits))) {
      this.fail(`${short(name)} has the size ${digits} where whole numbers from 0 to 2^53 are wanted`);
    }
    this.at += digits.length;
    return Number(digits);
  }

  private string(): string {
    if (!this.accept('"')) this.unexpected("a string");
    const begin = this.at - 1;
    let end = begin;
    let escaped = true;
    while (escaped) {
      end = this.text.indexOf('"', end + 1);
      if (end < 0) this.fail("its header ends within a string");
      let slash = end;
      while (this.text[slash - 1] === "\\") slash--;
      escaped = (end - slash) % 2 === 1;
    }
    this.at = end + 1;
    try {
      return JSON.parse(this.text.slice(begin, this.at));
    } catch {
      return this.fail(`its header has an invalid string at character ${begin}`);
    }
  }

  private skipSpace(): void {
    while (" \t\n\r".includes(this.text[this.at] ?? "?")) this.at++;
  }

  private accept(character: string): boolean {
    this.skipSpace();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private expect(character: string): void {
    if (!this.accept(character)) this.unexpected(character);
  }

  private unexpected(wanted: string): never {
    const found = this.at < this.text.length ? quote(this.text[this.at]) : "its end";
    return this.fail(`its header has ${found} at character ${this.at}, in ${short(this.member)}, for ${wanted}`);
  }
}
