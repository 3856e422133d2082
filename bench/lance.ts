/**
 * `npm run bench:lance`: a million embeddings in a LanceDB table, its IVF-PQ index built, and how many of the ten
 * nearest by cosine a search finds that a loop over all of them in float64 does, for each number of parts it looks into.
 * The embeddings are clusters on the sphere, as those of photos are. `-- --count 100000 --width 256 --queries 100` for
 * less, `--out vectors.lance` to keep the table. Installs what it needs in test/node/formats. Of a million it writes
 * bench/results/lance-<processor>-node-<version>.json. Ends with 1 where fewer than 95 of 100 are found.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { Module } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { formatOf } from "../src/node/formats/formats.ts";
import { LanceIndex } from "../src/node/formats/lance-index.ts";
import { Top } from "../src/search/top.ts";
import type { Vectors } from "../src/search/vectors.ts";
import { duration } from "../src/support/units.ts";
import { random } from "../test/judge/reference.ts";
import { installPackages } from "../test/node/formats/packages.ts";
import { environment, type Result, writeResult } from "./lib/results.ts";

/** What a search finds that looks into so many parts, and the seconds that it takes. */
export interface LanceRow {
  readonly count: number;
  readonly width: number;
  readonly probes: number;
  readonly recall: number;
  readonly median: number;
  readonly most: number;
}

/** bench/results/lance-*.json. */
export interface LanceResult extends Result<LanceRow> {
  readonly bench: "lance";
  /** Seconds that the index took, and a search without one. */
  readonly built: number;
  readonly without: number;
}

const { values: options } = parseArgs({
  options: {
    ...{ count: { type: "string", default: "1000000" }, width: { type: "string", default: "768" } },
    ...{ queries: { type: "string", default: "100" }, out: { type: "string" } },
  },
});
const [count, width, asked] = [options.count, options.width, options.queries].map(Number);
const MOST = 10;
const CLUSTERS = 1000;

process.env.NODE_PATH = await installPackages();
(Module as unknown as { _initPaths(): void })._initPaths();

function unit(values: Float32Array): Float32Array {
  let squares = 0;
  for (const value of values) squares += value * value;
  return values.map((value) => value / Math.sqrt(squares));
}

const centres = Array.from({ length: CLUSTERS }, (_, seed) => unit(random(width, seed + 1)));
const noise = random(1 << 20, 7);
/** What is added to a centre: some pictures are as far from each other as their clusters are. */
const SPREAD = 1 / Math.sqrt(width);

function embedding(index: number): Float32Array {
  const centre = centres[index % CLUSTERS];
  const from = (index * 7919) % (noise.length - width);
  const values = new Float32Array(width);
  for (let d = 0; d < width; d++) values[d] = centre[d] + SPREAD * noise[from + d];
  return unit(values);
}

const queries = Array.from({ length: asked }, (_, i) => {
  const from = (i * 104_729 + 31) % (noise.length - width);
  return unit(embedding(Math.floor((i * count) / asked)).map((value, d) => value + 0.5 * SPREAD * noise[from + d]));
});
const best = queries.map(() => new Top(MOST));

const vectors: Vectors = {
  header: { width, dtype: "f32", counts: { image: count, text: 0 }, origin: {} },
  async *keys() {},
  async *rows() {
    for (let index = 0; index < count; index++) {
      const values = embedding(index);
      for (const [i, query] of queries.entries()) {
        let sum = 0;
        for (let d = 0; d < width; d++) sum += values[d] * query[d];
        best[i].add(index, sum);
      }
      yield { kind: "image", name: `${index}.jpg`, stamp: "", bytes: new Uint8Array(values.buffer), scale: 1 };
    }
  },
};

const folder = await mkdtemp(join(tmpdir(), "siglip-lance-"));
try {
  const path = options.out ?? join(folder, "vectors.lance");
  const timed = async (what: string, run: () => Promise<unknown>) => {
    const began = performance.now();
    await run();
    const seconds = (performance.now() - began) / 1000;
    console.log(`${what}: ${duration(seconds)}`);
    return seconds;
  };
  await timed(`${count} embeddings of ${width} values written, and compared with ${asked} queries`, () =>
    formatOf(path)!.write(path, vectors),
  );
  using index = await LanceIndex.open(path);
  await index.search(queries[0], { most: MOST });
  const without = await timed("a search without an index", () => index.search(queries[1], { most: MOST }));
  const built = await timed("the index built", () => index.build());
  using indexed = await LanceIndex.open(path);
  const rows: LanceRow[] = [];
  for (const probes of [8, 16, 32, 64]) {
    await indexed.search(queries[0], { most: MOST, probes });
    let found = 0;
    const times: number[] = [];
    for (const [i, query] of queries.entries()) {
      const began = performance.now();
      const hits = await indexed.search(query, { most: MOST, probes });
      times.push((performance.now() - began) / 1000);
      const wanted = new Set(best[i].sorted().map((hit) => hit.index));
      found += hits.filter((hit) => wanted.has(hit.index)).length;
    }
    times.sort((a, b) => a - b);
    const recall = found / (MOST * queries.length);
    const usual = probes === 32 ? ", as siglip search asks" : "";
    const [median, most] = [times[times.length >> 1], times[times.length - 1]];
    console.log(
      `${probes} parts${usual}: recall@10 ${recall.toFixed(4)}, ${(1000 * median).toFixed(1)} ms a query, at most ${(1000 * most).toFixed(1)}`,
    );
    rows.push({ count, width, probes, recall, median, most });
    if (probes === 32 && recall < 0.95) process.exitCode = 1;
  }
  const result: LanceResult = { bench: "lance", adapter: undefined, environment: environment(), built, without, rows };
  if (count === 1_000_000) console.log(writeResult(result));
} finally {
  await rm(folder, { recursive: true, force: true });
}
