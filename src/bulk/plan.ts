import { createHash } from "node:crypto";
import { writeFileAtomic } from "../node/file.ts";
import { mismatch, SiglipError } from "../support/error.ts";
import type { FoundEntry } from "./sources/archive.ts";
import { MANIFEST, type ManifestIndex, type ManifestShard, manifestEnd, manifestLine } from "./sources/manifest.ts";

/** How a manifest is made. */
export interface PlanOptions {
  /** Entries in a shard; the last has what is left. 10,000 by default. */
  readonly perShard?: number;
  /** Told of an entry that is left out, since nothing could be loaded. */
  readonly onProblem?: (error: SiglipError) => void;
  /** Told of how many entries are written. */
  readonly onProgress?: (entries: number) => void;
  readonly signal?: AbortSignal;
}

/** What was planned. */
export type Plan = Pick<ManifestIndex, "images" | "texts"> & {
  readonly shards: number;
};

/** What is put together before it is written, in characters. */
const PIECE = 2 ** 18;

/**
 * Writes a manifest of all that a source names, in its order, `perShard` entries a shard, and puts it in place when it
 * is whole. Rejects with a SiglipError for a source of nothing, and for pictures that nobody could find again by their
 * place: in an archive that is gzipped or on a server.
 */
export async function writePlan(
  source: AsyncIterable<FoundEntry>,
  out: string,
  { perShard = 10_000, onProblem = () => {}, onProgress, signal }: PlanOptions = {},
): Promise<Plan> {
  const counts = { image: 0, text: 0 };
  const shards: ManifestShard[] = [];

  async function* chunks(): AsyncGenerator<Uint8Array> {
    const encoder = new TextEncoder();
    let at = 0;
    let waiting = "";
    const flush = () => {
      const bytes = encoder.encode(waiting);
      waiting = "";
      at += bytes.length;
      return bytes;
    };
    let hash = createHash("sha256");
    let shard = { offset: MANIFEST.length, entries: 0 };
    waiting = MANIFEST;
    for await (const entry of source) {
      signal?.throwIfAborted();
      if (!(await isSound(entry, onProblem))) continue;
      if (shard.entries === perShard) {
        shards.push({ ...shard, sha256: hash.digest("hex") });
        yield flush();
        hash = createHash("sha256");
        shard = { offset: at, entries: 0 };
      }
      const line = manifestLine(entry);
      hash.update(line);
      waiting += line;
      counts[entry.kind]++;
      shard.entries++;
      onProgress?.(counts.image + counts.text);
      if (waiting.length > PIECE) yield flush();
    }
    if (shard.entries === 0) throw mismatch("bad-input", out, "something to plan", "nothing", "name pictures or texts");
    shards.push({ ...shard, sha256: hash.digest("hex") });
    yield flush();
    yield encoder.encode(manifestEnd({ images: counts.image, texts: counts.text, shards }, at));
  }

  await writeFileAtomic(out, chunks(), signal);
  return { images: counts.image, texts: counts.text, shards: shards.length };
}

/** Whether an entry can stand in a manifest. What could not be read as an item says so when it is loaded. */
async function isSound(entry: FoundEntry, onProblem: (error: SiglipError) => void): Promise<boolean> {
  if (entry.place === "stream") {
    const found = "one in an archive that is gzipped or on a server";
    throw mismatch("unsupported", entry.name, "a picture with a place to be read from", found, "fetch or unpack it");
  }
  if (entry.kind === "image") return true;
  try {
    await entry.load();
    return true;
  } catch (error) {
    if (!(error instanceof SiglipError)) throw error;
    onProblem(error);
    return false;
  }
}
