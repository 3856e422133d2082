import { createHash } from "node:crypto";
import { elementSize } from "../../checkpoint/dtype.ts";
import { headerPlace, parseHeader } from "../../checkpoint/npy-header.ts";
import { readParts, type Source } from "../../checkpoint/source.ts";
import { areFinite } from "../../search/encode-vector.ts";
import type { Kind, StoredVector, VectorKey, Vectors } from "../../search/vectors.ts";
import { mismatch } from "../../support/error.ts";
import { checkWritable, writeFileAtomic } from "../file.ts";
import type { OpenVectors } from "./formats.ts";
import { type Beside, readBeside, writeBeside } from "./npy-names.ts";
import { openFile } from "./open-file.ts";

const DESCR = { f32: "<f4", f16: "<f2", i8: "|i1" } as const;
const OURS: Readonly<Record<string, "f32" | "f16" | "i8">> = { F32: "f32", F16: "f16", I8: "i8" };
const STORED = { f32: "F32", f16: "F16", i8: "I8" } as const;

/** Bytes that are read at a time. */
const PART = 2 ** 20;

/** Where what is said of an .npy file's rows stands: of cats.npy in cats.names.json. */
function besidePath(path: string): string {
  return path.replace(/\.npy$/i, ".names.json");
}

/** Rejects for two kinds, and where either file cannot be written. */
export async function check(path: string, kinds: readonly Kind[] = []): Promise<void> {
  if (kinds.length > 1) throw twoKinds(path);
  for (const file of [path, besidePath(path)]) await checkWritable(file);
}

function twoKinds(path: string) {
  return mismatch("bad-input", path, "pictures or texts", "both", "write two files, or another format");
}

/**
 * numpy's file of the values [n, width], and beside it the names as JSON, put in place first, when all rows are on disk
 * too. A crash between the two leaves names of other rows: their digest tells.
 */
export async function write(path: string, vectors: Vectors, signal?: AbortSignal): Promise<void> {
  const { counts } = vectors.header;
  if (counts.image > 0 && counts.text > 0) throw twoKinds(path);
  const kind = counts.text > 0 ? "text" : "image";
  await writeFileAtomic(path, chunks(), signal);

  async function* chunks(): AsyncGenerator<Uint8Array> {
    const { width, dtype } = vectors.header;
    const hash = createHash("sha256");
    const scales = new Float32Array(dtype === "i8" ? counts[kind] : 0);
    yield header(DESCR[dtype], [counts[kind], width]);
    let row = 0;
    let filled = 0;
    let piece = new Uint8Array(0);
    for await (const { bytes, scale } of vectors.rows(signal)) {
      if (filled + bytes.length > piece.length) {
        if (filled > 0) yield piece.subarray(0, filled);
        piece = new Uint8Array(Math.max(PART, bytes.length));
        filled = 0;
      }
      hash.update(bytes);
      piece.set(bytes, filled);
      filled += bytes.length;
      scales[row++] = scale;
    }
    if (filled > 0) yield piece.subarray(0, filled);
    await writeBeside(besidePath(path), vectors, { kind, scales, sha256: hash.digest("hex") }, signal);
  }
}

/** Version 1.0 of the format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
function header(descr: string, shape: readonly number[]): Uint8Array {
  const fields = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(", ")}), }`;
  const length = Math.ceil((10 + fields.length + 1) / 64) * 64;
  const bytes = Buffer.from(`${`\x93NUMPY\x01\0\0\0${fields}`.padEnd(length - 1)}\n`, "latin1");
  bytes.writeUInt16LE(length - 10, 8);
  return bytes;
}

/** An array [n, width] of float32, float16 or int8; names and scales from the file beside it, where there is one. */
export function open(path: string, signal?: AbortSignal): Promise<OpenVectors> {
  return openFile(path, async (source) => {
    const array = await readHeader(source, signal);
    const beside = await readBeside(besidePath(path), array.count, array.dtype === "i8", signal);
    return vectorsOf(source, array, beside);
  });
}

interface NpyArray {
  readonly dtype: "f32" | "f16" | "i8";
  readonly count: number;
  readonly width: number;
  readonly begin: number;
}

async function readHeader(source: Source, signal?: AbortSignal): Promise<NpyArray> {
  const fail = (found: string): never => {
    const wanted = "an .npy array [n, width] of float32, float16 or int8";
    throw mismatch("bad-input", source.name, wanted, `that it ${found}`, "write it with siglip embed");
  };
  if (source.size < 12) fail(`has only ${source.size} bytes`);
  const prefix = await source.read(0, 12, signal);
  const { from, data } = headerPlace(prefix, fail);
  if (data < 12 || data > source.size) fail("ends within its header");
  const text = new TextDecoder("latin1").decode(await source.read(from, data - from, signal));
  const { dtype, shape } = parseHeader(text, fail);
  const [count, width] = shape;
  if (!Object.hasOwn(OURS, dtype) || shape.length !== 2 || width < 1) fail(`holds ${dtype} [${shape}]`);
  const bytes = count * width * elementSize(dtype);
  if (bytes !== source.size - data) fail(`has ${source.size - data} bytes where ${dtype} [${shape}] takes ${bytes}`);
  return { dtype: OURS[dtype], count, width, begin: data };
}

function vectorsOf(
  source: Source,
  { dtype, count, width, begin }: NpyArray,
  beside: Beside,
): Omit<OpenVectors, "close"> {
  const { kind, names, stamps, scales, sha256, origin } = beside;
  const key = (row: number): VectorKey => ({ kind, name: names?.[row] ?? "", stamp: stamps?.[row] ?? "" });
  const bytes = width * elementSize(STORED[dtype]);
  return {
    header: { width, dtype, counts: { image: 0, text: 0, [kind]: count }, origin },
    async *keys() {
      for (let row = 0; row < count; row++) yield key(row);
    },
    async *rows(signal): AsyncGenerator<StoredVector> {
      const hash = createHash("sha256");
      let row = 0;
      const part = Math.max(1, Math.floor(PART / bytes)) * bytes;
      for await (const piece of readParts(source, { begin, end: begin + count * bytes }, part, signal)) {
        hash.update(piece);
        for (let at = 0; at < piece.length; at += bytes, row++) {
          const vector = { bytes: piece.subarray(at, at + bytes), scale: scales?.[row] ?? 1 };
          if (!areFinite(vector, dtype)) {
            throw mismatch("bad-input", source.name, "finite embeddings", `others in row ${row}`, "write it again");
          }
          yield { scale: vector.scale, bytes: vector.bytes, ...key(row) };
        }
      }
      if (sha256 !== undefined && hash.digest("hex") !== sha256) {
        const found = "names of other rows in the file beside it";
        throw mismatch("bad-input", source.name, "the rows that the names are of", found, "write both again");
      }
    },
    async stored(wanted: Kind) {
      return wanted === kind ? { source, dtype: STORED[dtype], begin, count, bytes, scales } : undefined;
    },
  };
}
