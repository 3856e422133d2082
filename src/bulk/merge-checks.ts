import type { VectorHeader } from "../search/vectors.ts";
import { mismatch } from "../support/error.ts";
import { difference } from "./origin.ts";
import { readShard } from "./shard.ts";

/** So many missing shards are named. */
const NAMED = 20;

/**
 * Throws a SiglipError where a part's embeddings cannot stand beside those of the first, and says what they differ in.
 */
export function checkAlike(firstName: string, first: VectorHeader, name: string, other: VectorHeader): void {
  const differs = difference(withoutShard(first), withoutShard(other));
  if (!differs) return;
  const wanted = `${differs.wanted} as in ${firstName}`;
  throw mismatch("bad-input", name, wanted, differs.found, "merge what was made in one way");
}

function withoutShard(header: VectorHeader): VectorHeader {
  const { shard: _, ...origin } = header.origin;
  return { ...header, origin };
}

/**
 * Throws a SiglipError where parts are shards, as their origins say, and others are missing, or where they are shards
 * of different numbers.
 */
export function checkComplete(headers: readonly VectorHeader[]): void {
  const shards = headers.flatMap(({ origin }) => readShard(origin.shard) ?? []);
  if (shards.length === 0) return;
  const { count } = shards[0];
  const other = shards.find((shard) => shard.count !== count);
  if (other) {
    throw mismatch("bad-input", "the parts", `shards of ${count}`, `one of ${other.count}`, "merge each set apart");
  }
  const there = new Set(shards.map(({ index }) => index));
  const missing = Array.from({ length: count }, (_, index) => index).filter((index) => !there.has(index));
  if (missing.length === 0) return;
  const found = `${there.size}, without ${ranges(missing)}`;
  throw mismatch("bad-input", "the parts", `all ${count} shards`, found, "embed the others, or pass --partial");
}

/** Numbers in order, neighbours as one: "0, 3-5 and 9". */
function ranges(numbers: readonly number[]): string {
  const spans: [number, number][] = [];
  for (const number of numbers) {
    const last = spans.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else spans.push([number, number]);
  }
  const words = spans.slice(0, NAMED).map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`));
  if (spans.length > NAMED) words.push("others");
  return words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
