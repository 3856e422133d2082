/**
 * `npm run bench:pairs`: near-duplicates among 100,000 embeddings of so400m's width, every two compared. Any two have a
 * cosine of about 0.6, those of one of 500 clusters 0.75, and every fiftieth is the one before it with a little noise: at
 * 0.97 these are found, which is checked. `-- --count 20000` for fewer, which is printed and not kept. Writes
 * bench/results/pairs-<processor>-node-<version>.json. Ends with 1 if anything was wrong.
 */
import { parseArgs } from "node:util";
import { VectorIndex } from "../src/node.ts";
import { random } from "../test/judge/reference.ts";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { duration } from "./lib/statistics.ts";

/** Comparisons of every two of so many embeddings. */
export interface PairsRow {
  readonly count: number;
  readonly width: number;
  readonly threads: number | "all";
  readonly seconds: number;
  /** Of all threads together. */
  readonly cpuSeconds: number;
  readonly pairsPerSecond: number;
  readonly error?: string;
}

/** bench/results/pairs-*.json. */
export interface PairsResult extends Result<PairsRow> {
  readonly bench: "pairs";
}

const WIDTH = 1152;
const ABOVE = 0.97;
const PERIOD = 50;
const CLUSTERS = 500;

const { values: options } = parseArgs({ options: { count: { type: "string", default: "100000" } } });
const count = Number(options.count);

function unit(values: Float32Array): Float32Array {
  let squares = 0;
  for (const value of values) squares += value * value;
  const norm = Math.sqrt(squares);
  return values.map((value) => value / norm);
}

const shared = unit(random(WIDTH, 1));
const centres = Array.from({ length: CLUSTERS }, (_, seed) => unit(random(WIDTH, seed + 2)));
const noise = random(1 << 22, 7);
const twins = new Set<number>();

const rows: PairsRow[] = [];
const index = new VectorIndex(WIDTH);
let before = shared;
for (let from = 0; from < count; from += 1000) {
  const block = new Float32Array(Math.min(1000, count - from) * WIDTH);
  for (let i = 0; i * WIDTH < block.length; i++) {
    const at = ((from + i) * 7919) % (noise.length - WIDTH);
    const centre = centres[(from + i) % CLUSTERS];
    const twin = (from + i) % PERIOD === PERIOD - 1;
    if (twin) twins.add(from + i);
    before = unit(before.map((value, d) => (twin ? value : 0.75 * shared[d] + 0.4 * centre[d]) + spread(twin, at + d)));
    block.set(before, i * WIDTH);
  }
  index.add(block);
}

/** Noise of length 0.5, or 0.06 of a twin. */
function spread(twin: boolean, at: number): number {
  return (twin ? 0.06 : 0.5) * (noise[at] / Math.sqrt(WIDTH));
}

const began = performance.now();
const cpu = process.cpuUsage();
const missing = new Set(twins);
let others = 0;
for await (const { first, second } of index.pairs({ above: ABOVE })) {
  if (first !== second - 1 || !missing.delete(second)) others++;
}
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpu);
const pairsPerSecond = (count * (count - 1)) / 2 / seconds;
const error = missing.size + others > 0 ? `${missing.size} pairs missing, ${others} others found` : undefined;
rows.push({
  ...{ count, width: WIDTH, threads: "all", seconds, cpuSeconds: (user + system) / 1e6, pairsPerSecond, error },
});
const rate = `${duration(seconds)}, ${(pairsPerSecond / 1e6).toFixed(0)} million comparisons a second`;
console.log(`${count} embeddings: ${error ?? rate}; ${rows[0].cpuSeconds.toFixed(1)} s of all threads together`);
if (count === 100_000) {
  const result: PairsResult = { bench: "pairs", adapter: undefined, environment: environment(), rows };
  console.log(writeResult(result));
}
if (error) process.exitCode = 1;
