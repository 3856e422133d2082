import { createHash } from "node:crypto";
import { type FileSource, fileSource } from "../../node/file.ts";
import { mismatch, type SiglipError } from "../../support/error.ts";
import type { Shard } from "../shard.ts";
import { type FoundEntry, isPlace, type Place, placed } from "./archive.ts";
import type { Part } from "./context.ts";
import { textEntry } from "./items.ts";
import { readLinesOf } from "./lines.ts";
import { stampOf } from "./pictures.ts";

/**
 * A manifest is a file of lines of JSON: this one, a line for each entry (`{ "image", "stamp" }`, with `tar` where the
 * picture lies in an archive, or `{ "text" }`), a line that says where each shard's lines are, and one that says where
 * that line is.
 */
export const MANIFEST = '{"siglip":"manifest","version":1}\n';

/** One shard's lines. */
export interface ManifestShard {
  /** Of the first, in bytes from the file's begin; those of the shard before end there. */
  readonly offset: number;
  /** How many lines. */
  readonly entries: number;
  /** Of the lines, SHA-256 in hexadecimal. */
  readonly sha256: string;
}

/** What stands before the last line. */
export interface ManifestIndex {
  readonly images: number;
  readonly texts: number;
  readonly shards: readonly ManifestShard[];
}

/** A manifest's last line is at most this long, in bytes. */
const LAST = 200;

/** Most bytes of the index: a shard takes some hundred. */
const INDEX = 2 ** 28;

/** A line of an entry is at most this long, in bytes. */
const LINE = 2 ** 23;

/** Bytes read at once. */
const READ = 2 ** 18;

/** Whether a file begins as a manifest does, of whatever version. */
export async function isManifest(path: string): Promise<boolean> {
  const file = await fileSource(path);
  try {
    const begin = await file.read(0, Math.min(file.size, MANIFEST.length));
    return Buffer.from(begin).toString("latin1").startsWith('{"siglip":"manifest"');
  } finally {
    await file.close();
  }
}

/** An entry as a line of a manifest. */
export function manifestLine({ kind, name, stamp, place }: FoundEntry): string {
  const value = kind === "text" ? { text: name } : { image: name, stamp, ...(isPlace(place) && { tar: place }) };
  return `${JSON.stringify(value)}\n`;
}

/** The two lines that end a manifest in which the index begins at a byte. */
export function manifestEnd(index: ManifestIndex, at: number): string {
  const line = JSON.stringify(index);
  return `${line}\n${JSON.stringify({ index: at, sha256: sha256(line) })}\n`;
}

/**
 * What a manifest names: all of it, or a shard as it was planned, of which alone the lines are read. Rejects with a
 * SiglipError where the manifest is damaged. A picture that has changed since rejects when it is loaded.
 */
export async function manifestPart(path: string): Promise<Part> {
  const { shards } = await readIndex(path);
  const chosen = (shard: Shard | undefined) => (shard ? [shard.index] : shards.keys());
  return {
    shards: shards.length,
    async *entries({ shard, signal }) {
      const file = await fileSource(path);
      try {
        const end = await indexOffset(file);
        for (const index of chosen(shard)) {
          const { offset: begin, sha256: wanted } = shards[index];
          const lines = { begin, end: shards[index + 1]?.offset ?? end };
          const hash = createHash("sha256");
          for await (const bytes of pieces(file, lines, signal)) hash.update(bytes);
          if (hash.digest("hex") !== wanted) throw damaged(path, `other lines in shard ${index}`);
          for await (const { text } of readLinesOf(pieces(file, lines, signal), path, LINE))
            yield readEntry(text, path);
        }
      } finally {
        await file.close();
      }
    },
    count: async ({ shard }) => [...chosen(shard)].reduce((sum, index) => sum + shards[index].entries, 0),
  };
}

async function* pieces(
  file: FileSource,
  { begin, end }: { begin: number; end: number },
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let at = begin; at < end; at += READ) yield file.read(at, Math.min(READ, end - at), signal);
}

function readEntry(line: string, path: string): FoundEntry {
  const { image, text, stamp, tar } = JSON.parse(line);
  if (typeof text === "string") return textEntry(text);
  if (typeof image !== "string" || typeof stamp !== "string") throw damaged(path, "a line that names nothing");
  const key = { kind: "image", name: image, stamp } as const;
  if (tar !== undefined) return placed(key, tar as Place);
  return {
    async load() {
      const now = stamp === "" ? "" : await stampOf(image);
      if (now === stamp) return image;
      throw mismatch("bad-input", image, `the file as it was planned (${stamp})`, now || "none", "plan again");
    },
    ...key,
  };
}

async function indexOffset(file: FileSource): Promise<number> {
  return (await readLast(file)).index;
}

async function readLast(file: FileSource): Promise<{ index: number; sha256: string; at: number }> {
  const length = Math.min(file.size, LAST);
  const end = Buffer.from(await file.read(file.size - length, length)).toString("latin1");
  const [line, index, sha256] = /(?<=\n)\{"index":(\d{1,15}),"sha256":"([0-9a-f]{64})"\}\n$/.exec(end) ?? [];
  if (line === undefined) throw damaged(file.name, "no index at its end");
  return { index: Number(index), sha256, at: file.size - line.length };
}

async function readIndex(path: string): Promise<ManifestIndex> {
  const file = await fileSource(path);
  try {
    const begin = Buffer.from(await file.read(0, Math.min(file.size, MANIFEST.length))).toString("latin1");
    if (begin !== MANIFEST) {
      throw mismatch("unsupported", path, "a manifest of version 1", begin.trim(), "plan again, or update siglip");
    }
    const last = await readLast(file);
    const length = last.at - last.index;
    if (!(length > 0 && length <= INDEX && last.index >= MANIFEST.length)) throw damaged(path, "an index of no place");
    const line = Buffer.from(await file.read(last.index, length))
      .toString("utf8")
      .trimEnd();
    if (sha256(line) !== last.sha256) throw damaged(path, "another index than was written");
    const index = JSON.parse(line) as ManifestIndex;
    const offsets = [...index.shards.map(({ offset }) => offset), last.index];
    // A shard's lines lie between two offsets, and the digest tells the rest.
    if (offsets[0] === MANIFEST.length && offsets.every((one, i) => i === 0 || one > offsets[i - 1])) return index;
    throw damaged(path, "shards that overlap");
  } finally {
    await file.close();
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function damaged(path: string, found: string): SiglipError {
  return mismatch("bad-input", path, "a manifest as siglip plan has written it", found, "plan again");
}
