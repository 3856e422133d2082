import { createHash } from "node:crypto";
import type { StoredVector, VectorKey } from "../search/vectors.ts";
import { mismatch, shorten } from "../support/error.ts";

/** An item on a way through parts: its number among all, and that of its part. */
export interface Passed<T> {
  readonly item: T;
  readonly row: number;
  readonly part: number;
}

/**
 * Which hashes more than one key of `count` has, few of them by chance; undefined where each is alone. Holds eight
 * bytes a key.
 */
export async function findRepeated(
  keys: AsyncIterable<Passed<VectorKey>>,
  count: number,
): Promise<((key: VectorKey) => boolean) | undefined> {
  const hashes = new Float64Array(count);
  for await (const { item, row } of keys) hashes[row] = hashOf(item);
  hashes.sort();
  const repeated = new Set<number>();
  for (let i = 1; i < count; i++) if (hashes[i] === hashes[i - 1]) repeated.add(hashes[i]);
  return repeated.size === 0 ? undefined : (key) => repeated.has(hashOf(key));
}

/**
 * The numbers of rows whose key stands in a part before theirs, with the same embedding. Throws a SiglipError where it
 * is another.
 */
export async function findLeftOut(
  rows: AsyncIterable<Passed<StoredVector>>,
  mayBeRepeated: (key: VectorKey) => boolean,
  nameOf: (part: number) => string,
): Promise<Set<number>> {
  const seen = new Map<string, { readonly part: number; readonly digest: string }>();
  const left = new Set<number>();
  for await (const { item, row, part } of rows) {
    if (!mayBeRepeated(item)) continue;
    const text = textOf(item);
    const digest = digestOf(item);
    const before = seen.get(text);
    if (!before) seen.set(text, { part, digest });
    // A part has what its source had twice at both places, as it would without shards.
    if (!before || before.part === part) continue;
    if (before.digest !== digest) {
      const subject = `${nameOf(part)}, ${item.kind} ${JSON.stringify(shorten(item.name))}`;
      const wanted = `the same embedding as in ${nameOf(before.part)}`;
      throw mismatch("bad-input", subject, wanted, "another", "embed one of the parts again, or leave it out");
    }
    left.add(row);
  }
  return left;
}

function textOf({ kind, name, stamp }: VectorKey): string {
  return JSON.stringify([kind, name, stamp]);
}

function hashOf(key: VectorKey): number {
  return createHash("sha256").update(textOf(key)).digest().readUIntBE(0, 6);
}

function digestOf({ bytes, scale }: StoredVector): string {
  return createHash("sha256").update(bytes).update(`${scale}`).digest("base64");
}
