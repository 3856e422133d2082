import { crc32, deflateRawSync } from "node:zlib";
import type { Tensors } from "../judge/layouts.ts";

/** One file for `writeZip`; what it claims of itself may be overruled. */
export interface ZipFile {
  readonly name: string;
  readonly data: Uint8Array;
  readonly deflated?: boolean;
  /** Sizes and offset in the 64-bit form, as numpy has them in local headers and large files everywhere. */
  readonly wide?: boolean;
  readonly claims?: {
    readonly size?: number;
    readonly packed?: number;
    readonly offset?: number;
    readonly flags?: number;
  };
}

/** A zip archive, with a 64-bit end record where `wide` says so. */
export function writeZip(files: readonly ZipFile[], { wide = false, comment = "" } = {}): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  const add = (part: Uint8Array) => {
    parts.push(part);
    at += part.length;
  };
  for (const { name, data, deflated = false, wide = false, claims = {} } of files) {
    const bytes = deflated ? deflateRawSync(data) : data;
    const { size = data.length, packed = bytes.length, offset = at, flags = 0 } = claims;
    const path = new TextEncoder().encode(name);
    const common = [u16(45), u16(flags), u16(deflated ? 8 : 0), u32(0), u32(crc32(data))];
    const sizes = wide ? [u32(0xffffffff), u32(0xffffffff)] : [u32(packed), u32(size)];
    const local = wide ? [u16(1), u16(16), u64(size), u64(packed)] : [];
    const extra = wide ? [u16(1), u16(24), u64(size), u64(packed), u64(offset)] : [];
    add(
      join(u32(0x04034b50), ...common, ...sizes, u16(path.length), u16(join(...local).length), path, ...local, bytes),
    );
    directory.push(
      join(
        ...[
          u32(0x02014b50),
          u16(45),
          ...common,
          ...sizes,
          u16(path.length),
          u16(join(...extra).length),
          u16(0),
          u16(0),
        ],
        ...[u16(0), u32(0), u32(wide ? 0xffffffff : offset), path, ...extra],
      ),
    );
  }
  const begin = at;
  for (const entry of directory) add(entry);
  const size = at - begin;
  if (wide) {
    const record = at;
    const counts = [u64(files.length), u64(files.length), u64(size), u64(begin)];
    add(join(u32(0x06064b50), u64(44), u16(45), u16(45), u32(0), u32(0), ...counts));
    add(join(u32(0x07064b50), u32(0), u64(record), u32(1)));
  }
  const count = u16(wide ? 0xffff : files.length);
  const place = wide ? [u32(0xffffffff), u32(0xffffffff)] : [u32(size), u32(begin)];
  const text = new TextEncoder().encode(comment);
  add(join(u32(0x06054b50), u16(0), u16(0), count, count, ...place, u16(text.length), text));
  return join(...parts);
}

/** An array as numpy saves it. `descr`, `order` and `shape` are what its header says. */
export function npy(
  data: Uint8Array,
  { descr = "<f4", order = "False", shape = "()", version = 1 }: NpyHeader = {},
): Uint8Array<ArrayBuffer> {
  const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
  const prefix = version === 1 ? 10 : 12;
  const length = Math.ceil((prefix + text.length + 1) / 64) * 64 - prefix;
  const header = new TextEncoder().encode(`${text.padEnd(length - 1)}\n`);
  const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0);
  return join(magic, version === 1 ? u16(length) : u32(length), header, data);
}

export interface NpyHeader {
  readonly descr?: string;
  readonly order?: string;
  readonly shape?: string;
  readonly version?: number;
}

/** A Python tuple. */
export function tuple(shape: readonly number[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
}

/** Arrays as numpy's `savez` writes them, or `savez_compressed`. */
export function writeNpz(
  arrays: Tensors,
  options: { deflated?: boolean; wide?: boolean; rename?: (name: string) => string } = {},
): Uint8Array<ArrayBuffer> {
  const { deflated, wide, rename = (name: string) => name } = options;
  const files = [...arrays].map(([name, { shape, data }]) => ({
    name: `${rename(name)}.npy`,
    data: npy(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), { shape: tuple(shape) }),
    deflated,
    wide,
  }));
  return writeZip(files, { wide });
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value & 255, (value >> 8) & 255);
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
