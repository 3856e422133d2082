import { createHash } from "node:crypto";
import type { Entry, Source } from "../../src/bulk/entry.ts";
import type { EmbedItems, EmbedJob } from "../../src/bulk/run.ts";
import { formatOf } from "../../src/node/formats/formats.ts";
import type { Kind } from "../../src/search/vectors.ts";
import { mismatch } from "../../src/support/error.ts";

/** Values in an embedding of the fake model. */
export const WIDTH = 16;

/** What the fake model gives for an item. */
export function embedding(item: string): Float32Array {
  const bytes = createHash("sha256").update(item).digest();
  const values = Float32Array.from({ length: WIDTH }, (_, index) => bytes[index] - 127.5);
  const norm = Math.hypot(...values);
  return values.map((value) => value / norm);
}

/** A model that embeds strings in batches; those that begin with "bad" are none that it can. */
export function fakeEmbed(batch: number, onBatch: (items: readonly string[]) => unknown = () => {}): EmbedItems {
  return async function* (_, items) {
    let part: string[] = [];
    const finish = async () => {
      await onBatch(part);
      const embeddings = part.map((item) =>
        item.startsWith("bad") ? mismatch("bad-input", item, "a picture", "none", "leave it out") : embedding(item),
      );
      part = [];
      return { embeddings };
    };
    for await (const item of items) {
      part.push(item as string);
      if (part.length === batch) yield await finish();
    }
    if (part.length > 0) yield await finish();
  };
}

/** An entry whose item is its name and stamp. */
export function entry(name: string, stamp = "", kind: Kind = "image"): Entry {
  return { kind, name, stamp, load: async () => name + stamp };
}

export async function* sourceOf(entries: Iterable<Entry>): Source {
  yield* entries;
}

/** A job with the fake model. */
export function job(path: string, entries: Iterable<Entry>, more: Partial<EmbedJob> = {}): EmbedJob {
  const header = { width: WIDTH, dtype: "f32", origin: { model: "fake" } } as const;
  return { source: sourceOf(entries), path, format: formatOf(path)!, header, embed: fakeEmbed(8), ...more };
}

/** Entries of a generation. */
export const ENTRIES = 300;

/** A source that is another each time: some entries are new, some gone, some changed, the order is another. */
export function generation(number: number): Entry[] {
  const all = Array.from({ length: ENTRIES }, (_, index) => {
    const name = `${index + number * 20}`;
    return entry(name, `${Math.floor((number + index) / 7)}`, index % 5 === 0 ? "text" : "image");
  });
  return number % 2 === 0 ? all : all.reverse();
}
