import type { OpenVectors } from "../node/formats/formats.ts";
import type { VectorHeader, VectorKey, Vectors } from "../search/vectors.ts";
import { mismatch } from "../support/error.ts";
import { checkAlike, checkComplete } from "./merge-checks.ts";
import { findLeftOut, findRepeated, type Passed } from "./repeated.ts";
import { readShard } from "./shard.ts";

/** A file of embeddings that is open only while it is gone through, lest thousands be open at once. */
export interface MergePart {
  /** Its path, for errors. */
  readonly name: string;
  open(signal?: AbortSignal): Promise<OpenVectors>;
}

/** How parts are merged. */
export interface MergeOptions {
  /** Whether shards may be missing; by default that is an error. */
  readonly partial?: boolean;
  readonly signal?: AbortSignal;
}

const KINDS = ["image", "text"] as const;

/**
 * Parts as one, in the order of shards where all of them are, else in their own. What stands in two of them (a kind,
 * name and stamp) is taken once, from the first of them, where its embeddings are equal up to rounding. Rejects with a
 * SiglipError for parts of other models, preprocessing, dtypes or widths, for embeddings that differ by more under one
 * key, and where the parts say that they are shards and others are missing. Holds eight bytes a row, and the keys of
 * those that stand in two parts; up to 256 MiB more where some of these differ by rounding.
 */
export async function mergeVectors(given: readonly MergePart[], options: MergeOptions = {}): Promise<Vectors> {
  const { partial = false, signal } = options;
  const { parts, headers } = inOrder(given, await readHeaders(given, signal));
  if (!partial) checkComplete(headers);
  const counts = { image: 0, text: 0 };
  for (const kind of KINDS) for (const header of headers) counts[kind] += header.counts[kind];
  const pass = <T extends VectorKey>(through: (vectors: Vectors) => AsyncIterable<T>) =>
    goThrough(parts, headers, through, signal);
  const keys = () => pass((vectors) => vectors.keys(signal));
  const rows = () => pass((vectors) => vectors.rows(signal));

  const { image, text } = counts;
  const { width, dtype } = headers[0];
  const mayBeRepeated = await findRepeated(keys(), image + text);
  const nameOf = (part: number) => parts[part].name;
  const left = mayBeRepeated ? await findLeftOut(rows, { mayBeRepeated, nameOf, dtype }) : new Set<number>();
  for (const row of left) counts[row < image ? "image" : "text"]--;
  const { shard: _, ...origin } = headers[0].origin;
  return {
    header: { width, dtype, counts, origin },
    keys: () => kept(keys()),
    rows: () => kept(rows()),
  };

  async function* kept<T>(all: AsyncIterable<Passed<T>>): AsyncGenerator<T> {
    for await (const { item, row } of all) if (!left.has(row)) yield item;
  }
}

async function readHeaders(parts: readonly MergePart[], signal?: AbortSignal): Promise<VectorHeader[]> {
  const headers: VectorHeader[] = [];
  for (const { name, open } of parts) {
    const vectors = await open(signal);
    try {
      headers.push(vectors.header);
    } finally {
      await vectors.close();
    }
    checkAlike(parts[0].name, headers[0], name, vectors.header);
  }
  return headers;
}

/** Shards in the order of their numbers: a shell gives part-10 before part-2. */
function inOrder(parts: readonly MergePart[], headers: readonly VectorHeader[]) {
  const shards = headers.map(({ origin }) => readShard(origin.shard)?.index ?? Number.NaN);
  const order = [...parts.keys()];
  if (!shards.some(Number.isNaN)) order.sort((a, b) => shards[a] - shards[b]);
  return { parts: order.map((index) => parts[index]), headers: order.map((index) => headers[index]) };
}

/** All items of the pictures, part by part, then those of the texts. */
async function* goThrough<T extends VectorKey>(
  parts: readonly MergePart[],
  headers: readonly VectorHeader[],
  through: (vectors: Vectors) => AsyncIterable<T>,
  signal?: AbortSignal,
): AsyncGenerator<Passed<T>> {
  let row = 0;
  for (const kind of KINDS) {
    for (const [part, { name, open }] of parts.entries()) {
      let left = headers[part].counts[kind];
      if (left === 0) continue;
      const vectors = await open(signal);
      try {
        for await (const item of through(vectors)) {
          if (item.kind !== kind) continue;
          yield { item, row: row++, part };
          if (--left === 0) break;
        }
        if (left > 0) throw mismatch("bad-input", name, "the file as it was", `${left} rows less`, "merge again");
      } finally {
        await vectors.close();
      }
    }
  }
}
