import { createHash } from "node:crypto";
import { decodeVector } from "../search/encode-vector.ts";
import type { StoredVector, VectorDType, VectorKey } from "../search/vectors.ts";
import { mismatch, shorten } from "../support/error.ts";
import { keyText } from "./keys.ts";
import { sha256 } from "./sha256.ts";

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
 * Embeddings of one thing by one model on different hardware differ by rounding: their cosine is at least this. In int8
 * values with outliers lose the most.
 */
const ALIKE = 1 - 1e-3;

/** Values that are held at once to compare those that differ, in bytes; what does not fit has another way through. */
const ROOM = 2 ** 28;

/** What rows are looked at by. */
export interface Repetition {
  readonly mayBeRepeated: (key: VectorKey) => boolean;
  readonly nameOf: (part: number) => string;
  readonly dtype: VectorDType;
  /** In bytes; 256 MiB by default. */
  readonly room?: number;
}

/**
 * The numbers of rows whose key stands in a part before theirs, with the same embedding up to rounding. Throws a
 * SiglipError where it is another.
 */
export async function findLeftOut(
  rows: () => AsyncIterable<Passed<StoredVector>>,
  repetition: Repetition,
): Promise<Set<number>> {
  const seen = new Map<string, { readonly part: number; readonly digest: string }>();
  const left = new Set<number>();
  const different = new Set<string>();
  for await (const { item, row, part } of rows()) {
    if (!repetition.mayBeRepeated(item)) continue;
    const text = keyText(item);
    const digest = digestOf(item);
    const before = seen.get(text);
    if (!before) seen.set(text, { part, digest });
    // A part has what its source had twice at both places, as it would without shards.
    if (!before || before.part === part) continue;
    if (before.digest !== digest) different.add(text);
    left.add(row);
  }
  seen.clear();
  while (different.size > 0) await compare(rows(), different, repetition);
  return left;
}

/**
 * Compares rows of the same key with the first of them, and takes the keys that it came to from `different`. Throws a
 * SiglipError where one differs by more than rounding.
 */
async function compare(
  rows: AsyncIterable<Passed<StoredVector>>,
  different: Set<string>,
  { nameOf, dtype, room = ROOM }: Repetition,
): Promise<void> {
  const firsts = new Map<string, { readonly part: number; readonly values: Float32Array }>();
  let free = room;
  for await (const { item, part } of rows) {
    const text = keyText(item);
    if (!different.has(text)) continue;
    const values = decodeVector(item, dtype);
    const first = firsts.get(text);
    if (!first) {
      if (free < values.byteLength && firsts.size > 0) continue;
      free -= values.byteLength;
      // What is decoded may be a view of much more.
      firsts.set(text, { part, values: values.slice() });
    } else if (first.part !== part && !(cosine(first.values, values) >= ALIKE)) {
      const subject = `${nameOf(part)}, ${item.kind} ${JSON.stringify(shorten(item.name))}`;
      const wanted = `the same embedding as in ${nameOf(first.part)}, up to rounding`;
      throw mismatch("bad-input", subject, wanted, "another", "embed one of the parts again, or leave it out");
    }
  }
  for (const text of firsts.keys()) different.delete(text);
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / Math.sqrt(aa * bb);
}

function hashOf(key: VectorKey): number {
  return Buffer.from(sha256(keyText(key)), "latin1").readUIntBE(0, 6);
}

function digestOf({ bytes, scale }: StoredVector): string {
  return createHash("sha256").update(bytes).update(`${scale}`).digest("base64");
}
