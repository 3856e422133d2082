import { Slice } from "../support/slices.ts";
import type { Backend } from "../tensor/backend.ts";
import { product } from "./product.ts";
import { BLOCK, type Rows } from "./rows.ts";
import { Strip } from "./strip.ts";

/** Two embeddings that are near each other, by their numbers. */
export interface Pair {
  /** The one added first. */
  readonly first: number;
  /** The other. */
  readonly second: number;
  /** Their dot product, summed in float64: the cosine, of embeddings of length 1. */
  readonly score: number;
}

/** What pairs are looked for. */
export interface PairQuery {
  /** How many of the rows are compared: those that came first. */
  readonly count: number;
  /** The least score of a pair. */
  readonly above: number;
  /** Whether the score of a pair is worth finding out. */
  wanted(first: number, second: number): boolean;
  /** What to compare integers on; undefined where all are to be compared in float64. */
  readonly backend: Backend | undefined;
  /** Comparisons so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Rows that are compared with a block at a time; a part of a block. */
const QUERIES = 1024;

/** Up to one pair in so many is compared in float64 rather than by all columns in integers. */
const FEW = 400;

/** Pairs that are told at once: what is made of them may say that many others are not wanted. */
const AT_ONCE = 64;

/** With fewer columns than this none are left out. */
const NARROW = 512;

/** All pairs of the rows whose score is at least `above`, some at a time: those of a block and it or one before it. */
export async function* findPairs(rows: Rows, query: PairQuery): AsyncGenerator<Pair[], void, undefined> {
  const { count, signal, above, onProgress } = query;
  const { width } = rows;
  const blocks = Math.ceil(count / BLOCK);
  let done = 0;
  const compare = query.backend ? inIntegers(query.backend, count, width, above) : inFloats(width);
  const slice = new Slice(signal);
  /** Of a block that others may be added to, those that were there. */
  const values = async (block: number) =>
    (await rows.blocks[block].values(signal)).subarray(0, (count - block * BLOCK) * width);
  for (let base = 0; base < count; base += BLOCK) {
    const held = await values(base / BLOCK);
    const likely = await compare(base, held);
    const parts = partsOf(values, base + held.length / width, width);
    onProgress?.(done, (blocks * (blocks + 1)) / 2);
    done += base / BLOCK + 1;
    for await (const { from, queries, numbers } of ahead(parts, (part) => likely(part, signal))) {
      let found: Pair[] = [];
      for (let i = 0; i < numbers.length; i += 2) {
        if (slice.over) await slice.end();
        const [first, second] = [from + numbers[i], base + numbers[i + 1]];
        if (first >= second || !query.wanted(first, second)) continue;
        const one = queries.subarray(numbers[i] * width, (numbers[i] + 1) * width);
        const score = product(held, (second - base) * width, one);
        if (score >= above) found.push({ first, second, score });
        if (found.length < AT_ONCE) continue;
        yield found;
        found = [];
      }
      if (found.length > 0) yield found;
      if (slice.over) await slice.end();
    }
  }
}

/** Some rows, from a number on. */
interface Part {
  readonly from: number;
  readonly queries: Float32Array;
}

/** The first `count` rows. */
async function* partsOf(
  values: (block: number) => Promise<Float32Array>,
  count: number,
  width: number,
): AsyncGenerator<Part> {
  for (let block = 0; block * BLOCK < count; block++) {
    const all = await values(block);
    for (let row = 0; row * width < all.length; row += QUERIES) {
      yield { from: block * BLOCK + row, queries: all.subarray(row * width, (row + QUERIES) * width) };
    }
  }
}

/** Parts with the pairs of each, which are looked for while those of the part before it are used. */
async function* ahead(parts: AsyncIterable<Part>, look: (part: Part) => Promise<number[]>) {
  let before: (() => Promise<Part & { numbers: number[] }>) | undefined;
  for await (const part of parts) {
    const looking = look(part);
    looking.catch(() => {}); // told where it is awaited
    if (before) yield await before();
    before = async () => ({ ...part, numbers: await looking });
  }
  if (before) yield await before();
}

/** Says of some rows and those of a block which pairs may be near: their places, one after the other. */
type Likely = (part: Part, signal?: AbortSignal) => Promise<number[]>;

/** All of them. */
function inFloats(width: number): (base: number, held: Float32Array) => Likely {
  return (_, held) =>
    async ({ queries }) => {
      const [count, rows] = [queries.length / width, held.length / width];
      return Array.from({ length: 2 * count * rows }, (_, i) => (i % 2 ? (i >> 1) % rows : Math.floor(i / 2 / rows)));
    };
}

/** By some columns first and, where these leave many, by all. */
function inIntegers(
  backend: Backend,
  count: number,
  width: number,
  above: number,
): (base: number, held: Float32Array) => Promise<Likely> {
  const wide = new Strip(backend, count, width);
  let narrow: Strip | undefined;
  /** How often some columns were enough, and how often not. */
  const outcomes = { enough: 0, not: 0 };
  return async (base, held) => {
    if (base === 0 && width >= NARROW) narrow = new Strip(backend, count, width, telling(held, width));
    if (outcomes.not > outcomes.enough) narrow = undefined;
    await narrow?.hold(base, held);
    await wide.hold(base, held);
    return async ({ from, queries }, signal) => {
      const all = (queries.length / width) * (held.length / width);
      const some = await narrow?.likely(from, queries, above, all / FEW, signal);
      outcomes[some ? "enough" : "not"]++;
      return some ?? (await wide.likely(from, queries, above, Number.POSITIVE_INFINITY, signal))!;
    };
  };
}

/** A quarter of the columns: those in which rows differ most. */
function telling(values: Float32Array, width: number): Uint32Array {
  const sums = new Float64Array(width);
  const squares = new Float64Array(width);
  for (let base = 0; base < values.length; base += width) {
    for (let d = 0; d < width; d++) {
      sums[d] += values[base + d];
      squares[d] += values[base + d] ** 2;
    }
  }
  const rows = values.length / width;
  const spread = squares.map((square, d) => square - sums[d] ** 2 / rows);
  const order = Uint32Array.from(spread.keys()).sort((a, b) => spread[b] - spread[a]);
  return order.subarray(0, 32 * Math.ceil(width / 128)).sort();
}
