import { mismatch } from "../support/error.ts";
import type { Source } from "./source.ts";

/** One file in a zip archive, as its directory describes it. */
export interface ZipEntry {
  /** With slashes between folders. */
  readonly name: string;
  /** How its bytes stand in the archive. */
  readonly method: "stored" | "deflated";
  /** Offset of its local header in the archive. */
  readonly offset: number;
  /** Offset in the archive that it ends before: where the next entry or the directory begins. */
  readonly limit: number;
  /** Bytes in the archive. */
  readonly packed: number;
  /** Bytes of the file itself. */
  readonly size: number;
  /** CRC-32 of them. */
  readonly crc: number;
}

/** What an archive is refused with. */
export type ZipFail = (found: string) => never;

/** A directory is at most this large: room for 100,000 entries, a thousand times what a model has. */
const MOST_DIRECTORY = 2 ** 24;

/** The end record, the longest comment behind it, and what points to the 64-bit one before it. */
const MOST_TAIL = 22 + 0xffff + 20;

/** No deflate stream makes more of a byte. */
const MOST_RATIO = 1032;

/** What refuses an archive. */
export function zipFail(source: Source): ZipFail {
  return (found) => {
    const advice = "fetch or write the file again";
    throw mismatch("bad-checkpoint", source.name, "a valid npz file", `that ${found}`, advice);
  };
}

/**
 * The entries of a zip archive by name, read from its directory alone, the 64-bit form included. Every claim is held
 * against the file's size and against the other entries: ranges that leave the file or overlap, and sizes that no
 * stream of that length can have, are refused with a SiglipError, as are names given twice, encryption and parts on
 * other disks. An entry packed by another method than deflate is left out.
 */
export async function readDirectory(source: Source, signal?: AbortSignal): Promise<Map<string, ZipEntry>> {
  const fail = zipFail(source);
  const { begin, size, count } = await findDirectory(source, fail, signal);
  if (size > MOST_DIRECTORY) fail(`its directory claims ${size} bytes where ${MOST_DIRECTORY} are allowed`);
  const bytes = await source.read(begin, size, signal);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: (Omit<ZipEntry, "method" | "limit"> & { readonly method: number })[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + 46 > size || view.getUint32(at, true) !== 0x02014b50) fail(`its directory breaks off at entry ${index}`);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const end = at + 46 + nameLength + extraLength + commentLength;
    if (end > size) fail(`its directory breaks off at entry ${index}`);
    const name = decodeName(bytes.subarray(at + 46, at + 46 + nameLength), fail);
    if (view.getUint16(at + 8, true) & 1) fail(`its entry ${quote(name)} is encrypted`);
    const extra = new DataView(bytes.buffer, bytes.byteOffset + at + 46 + nameLength, extraLength);
    const sizes = readSizes(view, at, extra, () => fail(`its entry ${quote(name)} lacks its 64-bit sizes`));
    const [method, crc] = [view.getUint16(at + 10, true), view.getUint32(at + 16, true)];
    found.push({ name, method, crc, ...sizes });
    at = end;
  }
  return arrange(found, begin, fail);
}

/** Checks the entries against each other and the place of the directory. */
function arrange(
  found: readonly (Omit<ZipEntry, "method" | "limit"> & { readonly method: number })[],
  directory: number,
  fail: ZipFail,
): Map<string, ZipEntry> {
  const entries = new Map<string, ZipEntry>();
  const sorted = [...found].sort((a, b) => a.offset - b.offset);
  for (const [index, entry] of sorted.entries()) {
    const { name, method, offset, packed, size, crc } = entry;
    const limit = Math.min(sorted[index + 1]?.offset ?? directory, directory);
    if (offset + 30 + packed > limit) {
      fail(`its entry ${quote(name)} of ${packed} bytes at ${offset} overlaps what begins at ${limit}`);
    }
    if (entries.has(name)) fail(`it has the entry ${quote(name)} twice`);
    if (method === 0 && packed !== size)
      fail(`its entry ${quote(name)} is stored in ${packed} bytes but claims ${size}`);
    if (method === 8 && size > packed * MOST_RATIO) {
      fail(`its entry ${quote(name)} claims ${size} bytes, more than ${packed} deflated ones can hold`);
    }
    if (method === 0 || method === 8) {
      entries.set(name, { name, method: method === 0 ? "stored" : "deflated", offset, limit, packed, size, crc });
    }
  }
  return entries;
}

async function findDirectory(
  source: Source,
  fail: ZipFail,
  signal?: AbortSignal,
): Promise<{ begin: number; size: number; count: number }> {
  const length = Math.min(source.size, MOST_TAIL);
  const tail = await source.read(source.size - length, length, signal);
  const view = new DataView(tail.buffer, tail.byteOffset, tail.length);
  let at = length - 22;
  const isEnd = () => view.getUint32(at, true) === 0x06054b50 && at + 22 + view.getUint16(at + 20, true) === length;
  while (at >= 0 && !isEnd()) at--;
  if (at < 0) fail(`none of its last ${length} bytes begin a zip archive's end record`);
  let [count, size, begin] = [
    view.getUint16(at + 10, true),
    view.getUint32(at + 12, true),
    view.getUint32(at + 16, true),
  ];
  let disks = view.getUint16(at + 4, true) || view.getUint16(at + 6, true);
  let limit = source.size - length + at;
  if (at >= 20 && view.getUint32(at - 20, true) === 0x07064b50) {
    const place = Number(view.getBigUint64(at - 12, true));
    if (!(place + 56 <= limit)) fail(`its 64-bit end record is said to be at ${place}`);
    const record = await source.read(place, 56, signal);
    const wide = new DataView(record.buffer, record.byteOffset, record.length);
    if (wide.getUint32(0, true) !== 0x06064b50) fail(`there is no 64-bit end record at ${place}`);
    [count, size, begin] = [32, 40, 48].map((offset) => Number(wide.getBigUint64(offset, true)));
    disks = wide.getUint32(16, true) || wide.getUint32(20, true);
    limit = place;
  }
  if (disks !== 0) fail("parts of it lie on other disks");
  if (!(begin + size <= limit)) fail(`its directory claims bytes ${begin} to ${begin + size} where ${limit} are left`);
  return { begin, size, count };
}

/** Sizes and offset of a directory entry; those that do not fit 32 bits stand in its extra field, in this order. */
function readSizes(view: DataView, at: number, extra: DataView, fail: () => never) {
  const short = { size: view.getUint32(at + 24, true), packed: view.getUint32(at + 20, true) };
  const narrow = { ...short, offset: view.getUint32(at + 42, true) };
  let place = -1;
  for (let field = 0; field + 4 <= extra.byteLength; field += 4 + extra.getUint16(field + 2, true)) {
    if (extra.getUint16(field, true) === 1) place = field + 4;
  }
  const widen = (value: number): number => {
    if (value !== 0xffffffff) return value;
    if (place < 0 || place + 8 > extra.byteLength) fail();
    const wide = Number(extra.getBigUint64(place, true));
    place += 8;
    return Number.isSafeInteger(wide) ? wide : fail();
  };
  return { size: widen(narrow.size), packed: widen(narrow.packed), offset: widen(narrow.offset) };
}

function decodeName(bytes: Uint8Array, fail: ZipFail): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return fail("an entry's name is not UTF-8");
  }
}

/** A stranger's name, short enough for a sentence. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}
