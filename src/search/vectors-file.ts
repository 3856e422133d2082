import { readHeader, type TensorData, type TensorInfo, writeSafetensors } from "../checkpoint/safetensors.ts";
import { readParts, type Source } from "../checkpoint/source.ts";
import { mismatch, SiglipError } from "../support/error.ts";
import { toFloat32 } from "../support/numbers.ts";
import { areFinite, MOST_SCALE } from "./encode-vector.ts";
import { readLines } from "./lines.ts";
import type { StoredRows } from "./rows.ts";
import type { Kind, StoredVector, VectorDType, VectorHeader, VectorKey, Vectors } from "./vectors.ts";

/** Embeddings that lie in a file one after another. */
export interface FileVectors extends Vectors {
  /** Where those of a kind lie; undefined where there are none. */
  stored(kind: Kind, signal?: AbortSignal): Promise<StoredRows | undefined>;
}

const KINDS = ["image", "text"] as const;

/** Characters of names and stamps up to which they are put into the header's metadata, which is held in memory. */
const MOST_IN_METADATA = 2 ** 20;

/** Bytes that are read or written at a time. */
const PART = 2 ** 20;

/** The dtype of safetensors for each of ours. */
const STORED = { f32: "F32", f16: "F16", i8: "I8" } as const;

/**
 * Embeddings as a safetensors file, in chunks: `image_embeds` and `text_embeds` [n, width] as F32, F16 or I8, these with
 * `image_scales` and `text_scales` [n]. Names and stamps are JSON lists in the metadata (`images`, `image_stamps`, `texts`,
 * `text_stamps`); where they are more than a MiB, they are tensors of these names: UTF-8, a JSON string a line. `origin`
 * in the metadata is a JSON object. The vectors are gone through more than once.
 */
export async function* encodeVectors(vectors: Vectors, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const { width, dtype, counts, origin } = vectors.header;
  const metadata = new Map<string, string>();
  if (Object.keys(origin).length > 0) metadata.set("origin", JSON.stringify(origin));
  const { lists, lengths } = await wordsOf(vectors, signal);
  for (const [name, words] of lists ?? []) metadata.set(name, JSON.stringify(words));
  const tensors: TensorData[] = [];
  const scales = columns(
    () => vectors.rows(signal),
    ({ scale }) => new Uint8Array(Float32Array.of(scale).buffer),
  );
  const values = columns(
    () => vectors.rows(signal),
    ({ bytes }) => bytes,
  );
  for (const kind of present(counts)) {
    if (dtype === "i8") {
      tensors.push({ name: `${kind}_scales`, dtype: "F32", shape: [counts[kind]], data: joined(scales(kind)) });
    }
    tensors.push({
      name: `${kind}_embeds`,
      dtype: STORED[dtype],
      shape: [counts[kind], width],
      data: joined(values(kind)),
    });
  }
  for (const [name, length] of lists ? [] : lengths) {
    const { kind, part } = wordsName(name);
    const data = columns(
      () => vectors.keys(signal),
      (key) => line(key[part]),
    )(kind);
    tensors.push({ name, dtype: "U8", shape: [length], data: joined(data) });
  }
  yield* writeSafetensors(tensors, metadata);
}

/** Which kinds get tensors: those of which there are any, and pictures where there is nothing, for the width. */
function present(counts: VectorHeader["counts"]): readonly Kind[] {
  const some = KINDS.filter((kind) => counts[kind] > 0);
  return some.length > 0 ? some : ["image"];
}

/** The names under which a kind's names and stamps are stored. */
const wordsNames = (kind: Kind) => ({ name: `${kind}s`, stamp: `${kind}_stamps` }) as const;
function wordsName(name: string): { kind: Kind; part: "name" | "stamp" } {
  return { kind: name.startsWith("image") ? "image" : "text", part: name.endsWith("_stamps") ? "stamp" : "name" };
}

const encoder = new TextEncoder();
const line = (word: string) => encoder.encode(`${JSON.stringify(word)}\n`);

/** Names and stamps by their names in the file, and their bytes as lines; no lists where they are long. */
async function wordsOf(vectors: Vectors, signal?: AbortSignal) {
  let lists: Map<string, string[]> | undefined = new Map();
  const lengths = new Map<string, number>();
  const stamped = new Set<Kind>();
  let total = 0;
  for await (const key of vectors.keys(signal)) {
    if (key.stamp !== "") stamped.add(key.kind);
    const names = wordsNames(key.kind);
    for (const part of ["name", "stamp"] as const) {
      const { length } = line(key[part]);
      lengths.set(names[part], (lengths.get(names[part]) ?? 0) + length);
      total += length;
      const list = lists?.get(names[part]);
      if (list) list.push(key[part]);
      else lists?.set(names[part], [key[part]]);
    }
    if (total > MOST_IN_METADATA) lists = undefined;
  }
  for (const kind of KINDS.filter((one) => !stamped.has(one))) {
    lists?.delete(`${kind}_stamps`);
    lengths.delete(`${kind}_stamps`);
  }
  return { lists, lengths };
}

/** A kind's part of what comes first of pictures, then of texts, asked for in this order: one way through all of it. */
function columns<T extends VectorKey>(items: () => AsyncIterable<T>, bytesOf: (item: T) => Uint8Array) {
  let iterator: AsyncIterator<T> | undefined;
  let next: IteratorResult<T> | undefined;
  return async function* (kind: Kind): AsyncGenerator<Uint8Array> {
    iterator ??= items()[Symbol.asyncIterator]();
    let whole = false;
    try {
      next ??= await iterator.next();
      for (; !next.done; next = await iterator.next()) {
        if (next.value.kind === kind) yield bytesOf(next.value);
        else if (kind === "image") break;
      }
      whole = true;
    } finally {
      if (!whole) await iterator.return?.();
    }
  };
}

/** The same bytes in pieces of some size; each lasts. */
async function* joined(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let piece = new Uint8Array(0);
  let filled = 0;
  for await (const chunk of chunks) {
    if (filled + chunk.length > piece.length) {
      if (filled > 0) yield piece.subarray(0, filled);
      piece = new Uint8Array(Math.max(PART, chunk.length));
      filled = 0;
    }
    piece.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

/**
 * Embeddings of a safetensors file as `encodeVectors` writes it, or with BF16 values, which are given as f32. All but
 * the tensors' bytes is checked now, these as they are gone through. Rejects with a SiglipError for whatever else is in
 * the file.
 */
export async function readVectors(source: Source, signal?: AbortSignal): Promise<FileVectors> {
  const { tensors, metadata } = await readHeader(source, signal).catch((error: SiglipError) => {
    // Embeddings are what a user passed, and no model's files.
    throw error.code === "bad-checkpoint" ? new SiglipError(error.message, { code: "bad-input", cause: error }) : error;
  });
  const fail = (wanted: string, found: string): never => {
    throw mismatch("bad-input", source.name, wanted, found, "write it with siglip embed or an index's save");
  };
  const embeds = KINDS.flatMap((kind) => {
    const info = tensors.get(`${kind}_embeds`);
    return info ? [{ kind, info }] : [];
  });
  const first = embeds[0]?.info;
  const shown = (info?: TensorInfo) => (info ? `${info.dtype} [${info.shape}]` : `${tensors.size} other tensors`);
  for (const info of embeds.length > 0 ? embeds.map(({ info }) => info) : [undefined]) {
    const good = info?.shape.length === 2 && info.shape[1] >= 1 && ["F32", "F16", "BF16", "I8"].includes(info.dtype);
    if (!good) fail("image_embeds or text_embeds [n, width] of F32, F16, BF16, I8", shown(info));
    else if (info.dtype !== first.dtype || info.shape[1] !== first.shape[1]) fail(`like ${shown(first)}`, shown(info));
  }
  const stored = first.dtype as StoredRows["dtype"];
  const dtype: VectorDType = stored === "F16" ? "f16" : stored === "I8" ? "i8" : "f32";
  const width = first.shape[1];
  const counts = { image: 0, text: 0 };
  for (const { kind, info } of embeds) counts[kind] = info.shape[0];
  const origin = originOf(metadata.get("origin"), source.name);

  const scaleInfo = new Map<Kind, TensorInfo>();
  const words = new Map<string, readonly string[] | TensorInfo | undefined>();
  for (const { kind } of embeds) {
    const info = tensors.get(`${kind}_scales`);
    if (stored === "I8") {
      if (info?.dtype !== "F32" || info.shape.length !== 1 || info.shape[0] !== counts[kind]) {
        fail(`${kind}_scales F32 [${counts[kind]}]`, info ? shown(info) : "none");
      } else scaleInfo.set(kind, info);
    }
    for (const name of Object.values(wordsNames(kind))) {
      const json = metadata.get(name);
      const lines = tensors.get(name);
      if (json === undefined && lines && (lines.dtype !== "U8" || lines.shape.length !== 1)) {
        fail(`${name} as U8 of one axis`, shown(lines));
      }
      words.set(name, json === undefined ? lines : listOf(json, counts[kind], source.name));
    }
  }
  const scalesOf = async (kind: Kind, signal?: AbortSignal): Promise<Float32Array | undefined> => {
    const info = scaleInfo.get(kind);
    const scales = info && toFloat32(await source.read(info.begin, info.end - info.begin, signal), "F32");
    if (scales?.some((scale) => !(scale >= 0 && scale <= MOST_SCALE))) {
      fail("scales from 0", "others among them");
    }
    return scales;
  };

  async function* keys(signal?: AbortSignal): AsyncGenerator<VectorKey> {
    for (const { kind } of embeds) {
      const { name, stamp } = wordsNames(kind);
      const names = each(words.get(name), counts[kind], source, signal);
      const stamps = each(words.get(stamp), counts[kind], source, signal);
      for await (const one of names) {
        const next = await stamps.next();
        yield { kind, name: one, stamp: next.value as string };
      }
      await stamps.next();
    }
  }

  async function* rows(signal?: AbortSignal): AsyncGenerator<StoredVector> {
    const all = keys(signal);
    for (const { kind, info } of embeds) {
      const scales = await scalesOf(kind, signal);
      const bytes = (info.end - info.begin) / Math.max(1, counts[kind]);
      const rowsAtOnce = Math.max(1, Math.floor(PART / bytes));
      let row = 0;
      if (counts[kind] === 0) continue;
      for await (const part of readParts(source, info, rowsAtOnce * bytes, signal)) {
        for (let at = 0; at < part.length; at += bytes, row++) {
          const one = part.subarray(at, at + bytes);
          const value = stored === "BF16" ? bytesOf(toFloat32(one, "BF16")) : one;
          const vector = { bytes: value, scale: scales?.[row] ?? 1 };
          if (!areFinite(vector, dtype)) fail("finite embeddings", `others in row ${row} of ${info.name}`);
          const key = await all.next();
          yield { scale: vector.scale, bytes: value, ...(key.value as VectorKey) };
        }
      }
    }
    await all.next();
  }

  return {
    header: { width, dtype, counts, origin },
    keys,
    rows,
    async stored(kind, signal) {
      const info = embeds.find((one) => one.kind === kind)?.info;
      if (!info) return undefined;
      const [count, bytes] = [counts[kind], (info.end - info.begin) / Math.max(1, counts[kind])];
      return { source, dtype: stored, begin: info.begin, count, bytes, scales: await scalesOf(kind, signal) };
    },
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** What made them, as JSON or what was read from it: an object of strings; empty where nothing is said. */
export function originOf(said: unknown, file: string): Readonly<Record<string, string>> {
  const value = said === undefined ? {} : typeof said === "string" ? parsed(said) : said;
  if (value && typeof value === "object" && !Array.isArray(value)) {
    const entries = Object.entries(value);
    if (entries.every((entry) => typeof entry[1] === "string")) return Object.fromEntries(entries);
  }
  throw mismatch("bad-input", file, "an origin of strings, as JSON", "something else", "write the file again");
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** A list of names or stamps; those of an index may be null. */
function listOf(json: string, count: number, file: string): string[] {
  const list = parsed(json);
  if (Array.isArray(list) && list.length === count && list.every((one) => typeof one === "string" || one === null)) {
    return list.map((one) => one ?? "");
  }
  throw mismatch("bad-input", file, `a JSON list of ${count} names`, "something else", "write the file again");
}

/** As many names or stamps as there are embeddings, from memory or the file. */
async function* each(
  words: readonly string[] | TensorInfo | undefined,
  count: number,
  source: Source,
  signal?: AbortSignal,
): AsyncGenerator<string> {
  if (!words || !("begin" in words)) {
    for (let i = 0; i < count; i++) yield words?.[i] ?? "";
    return;
  }
  const fail = (found: string): SiglipError =>
    mismatch(
      "bad-input",
      source.name,
      `a JSON string a line in ${words.name}, ${count} of them`,
      found,
      "write it again",
    );
  let found = 0;
  for await (const line of readLines(readParts(source, words, PART, signal), source.name)) {
    const word = parsed(line);
    if (typeof word !== "string") throw fail("something else");
    if (++found > count) throw fail("more");
    yield word;
  }
  if (found < count) throw fail(`${found}`);
}
