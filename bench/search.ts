/**
 * `npm run bench:search`: exact search among a million embeddings of so400m's width, in WebAssembly on all cores. The
 * embeddings are clusters on the sphere, as those of photos are; what is found is held against a loop in float64 before
 * anything is timed. Needs 7 GB of memory; `-- --count 100000` for less, which is printed and not kept. Writes
 * bench/results/search-<processor>-node-<version>.json. Ends with 1 if anything was wrong.
 */
import { parseArgs } from "node:util";
import { VectorIndex } from "../src/node.ts";
import { random } from "../test/judge/reference.ts";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { duration } from "./lib/statistics.ts";

/** Searches among so many embeddings. */
export interface SearchRow {
  readonly count: number;
  readonly width: number;
  readonly threads: number | "all";
  /** Seconds of the first search, which starts the threads and rounds all embeddings. */
  readonly first: number;
  /** Seconds of a later one, by the median and at least. */
  readonly median: number;
  readonly least: number;
  readonly error?: string;
}

/** bench/results/search-*.json. */
export interface SearchResult extends Result<SearchRow> {
  readonly bench: "search";
}

const WIDTH = 1152;
const MOST = 10;
const QUERIES = 12;
const CLUSTERS = 1000;

const { values: options } = parseArgs({ options: { count: { type: "string", default: "1000000" } } });
const count = Number(options.count);

function unit(values: Float32Array): Float32Array {
  const norm = Math.hypot(...values);
  return values.map((value) => value / norm);
}

const centres = Array.from({ length: CLUSTERS }, (_, seed) => unit(random(WIDTH, seed + 1)));
const noise = random(1 << 20, 7);

/** An embedding near one of the centres. */
function embedding(index: number): Float32Array {
  const centre = centres[index % CLUSTERS];
  const from = (index * 7919) % (noise.length - WIDTH);
  return unit(centre.map((value, d) => value + 0.03 * noise[from + d]));
}

function bruteForce(rows: (index: number) => Float32Array, query: Float32Array): string {
  const scores = new Float64Array(count);
  for (let index = 0; index < count; index++) {
    const row = rows(index);
    let sum = 0;
    for (let d = 0; d < WIDTH; d++) sum += row[d] * query[d];
    scores[index] = sum;
  }
  const order = Uint32Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || a - b);
  return JSON.stringify(Array.from(order.subarray(0, MOST), (index) => [index, scores[index]]));
}

const blocks: Float32Array[] = [];
const SIZE = 10_000;
for (let from = 0; from < count; from += SIZE) {
  const block = new Float32Array(Math.min(SIZE, count - from) * WIDTH);
  for (let i = 0; i * WIDTH < block.length; i++) block.set(embedding(from + i), i * WIDTH);
  blocks.push(block);
}
const row = (index: number) => {
  const at = (index % SIZE) * WIDTH;
  return blocks[Math.floor(index / SIZE)].subarray(at, at + WIDTH);
};
const queries = Array.from({ length: QUERIES }, (_, i) => unit(row(i * 31).map((v, d) => v + 0.02 * noise[d + i])));
const wanted = queries.slice(0, 2).map((query) => bruteForce(row, query));

const rows: SearchRow[] = [];
for (const threads of [undefined, 1]) {
  using index = new VectorIndex(WIDTH, { threads });
  for (const block of blocks) index.add(block);
  let first = 0;
  const times: number[] = [];
  let error: string | undefined;
  for (const [number, query] of [queries[0], ...queries].entries()) {
    const began = performance.now();
    const hits = await index.search(query, { most: MOST });
    const seconds = (performance.now() - began) / 1000;
    if (number === 0) first = seconds;
    else times.push(seconds);
    const found = JSON.stringify(hits.map(({ index, score }) => [index, score]));
    const expected = wanted[Math.max(0, number - 1)];
    if (expected !== undefined && found !== expected) error = `found ${found}, wanted ${expected}`;
  }
  times.sort((a, b) => a - b);
  const [median, least] = [times[times.length >> 1], times[0]];
  rows.push({ count, width: WIDTH, threads: threads ?? "all", first, median, least, error });
  const shown = error ?? `${duration(median)} a search (at least ${duration(least)}), the first ${duration(first)}`;
  console.log(`${count} embeddings, ${threads ?? "all"} threads: ${shown}`);
}
if (count === 1_000_000) {
  const result: SearchResult = { bench: "search", adapter: undefined, environment: environment(), rows };
  console.log(writeResult(result));
}
if (rows.some(({ error }) => error)) process.exitCode = 1;
