/**
 * `npm run bench:folder`: a folder of JPEGs of 640 x 480 through `embedStream` of the demo model on wasm. Decoding and resizing alone
 * and the model alone are measured beside it, each on one core and on all, so that it shows what overlapping them is worth, and how
 * long the model waits for pictures. Embeddings are held against those of pictures one by one before anything is timed. sharp's rate
 * stands beside ours where it is installed (`npm --prefix bench/peers ci`).
 *
 *   --count 2000   --threads 2   --rounds 3
 *
 * Writes bench/results/folder-<processor>-node-<version>.json, unless another count was asked for. Ends with 1 if anything was wrong.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { Recipe } from "../src/image/patches.ts";
import type { PreparedPictures } from "../src/model/towers.ts";
import { findFiles } from "../src/node/find.ts";
import { decode } from "../src/node/images/decode.ts";
import { type NodeImage, nodePlatform } from "../src/node/platform.ts";
import { loadModel } from "../src/siglip/load.ts";
import type { LoadedModel } from "../src/siglip/loaded.ts";
import { together } from "../src/siglip/pictures.ts";
import { Siglip } from "../src/siglip/siglip.ts";
import { padded } from "../src/tensor/shape.ts";
import { photos } from "./lib/photos.ts";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { digits, duration, percent, table } from "./lib/statistics.ts";

/** Pictures a second, the median of the rounds; `cpu` is processor seconds for each picture. */
export interface FolderRow {
  readonly what: string;
  readonly rate: number;
  readonly cpu: number;
}

/** bench/results/folder-*.json. */
export interface FolderResult extends Result<FolderRow> {
  readonly bench: "folder";
}

const { values: options } = parseArgs({
  options: {
    count: { type: "string", default: "2000" },
    threads: { type: "string", default: `${Math.min(availableParallelism(), 16)}` },
    rounds: { type: "string", default: "3" },
  },
});
const count = Number(options.count);
const rounds = Number(options.rounds);

/** A model made of its parts, of which the bench wants to know how long the tower is busy. */
class Measured extends Siglip<NodeImage> {
  static of(parts: LoadedModel<NodeImage>): Measured {
    return new Measured(parts);
  }
}

const paths = await photos(count);
const loaded = await loadModel(await findFiles("demo"), nodePlatform, {
  backend: "wasm",
  threads: Number(options.threads),
});
const busy = { seconds: 0 };
const { towers } = loaded;
const measured: typeof towers = {
  ...towers,
  async patches(...args) {
    const started = performance.now();
    try {
      return await towers.patches(...args);
    } finally {
      busy.seconds += (performance.now() - started) / 1000;
    }
  },
};
const model = Measured.of({ ...loaded, towers: measured });
const onOneCore = await loadModel(await findFiles("demo"), nodePlatform, { backend: "wasm", threads: 1 });
const { vision, image } = loaded.config;
const recipe: Recipe = {
  processing: image,
  patch: vision.patchSize,
  stride: padded(vision.channels * vision.patchSize ** 2),
};
const batch = model.device.batch.images;

/** Work on all paths, by default as many at a time as `embedStream` has. */
async function all(work: (path: string) => Promise<unknown>, atOnce = nodePlatform.atOnce!): Promise<void> {
  const queue = paths.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const path of queue) await work(path);
    }),
  );
}

async function verify(): Promise<void> {
  const some = paths.slice(0, 24);
  const one: number[] = [];
  for (const path of some) one.push(...(await model.embedImages([path])).data);
  const { data } = await model.embedImages(some);
  if (data.length !== one.length || data.some((value, i) => value !== one[i])) {
    throw new Error("embeddings of many pictures are not those of each by itself; nothing was timed");
  }
}

const prepared: PreparedPictures[] = [];
const prepare = (path: string) => nodePlatform.prepare!(path, recipe, {});

/** The tower's work on all pictures. */
async function embed({ patches }: typeof towers): Promise<void> {
  for (let at = 0; at < count; at += batch) {
    const part = Array.from({ length: Math.min(batch, count - at) }, (_, i) => prepared[(at + i) % prepared.length]);
    await patches(await together(part));
  }
}

const ways: Record<string, () => Promise<unknown>> = {
  "decoding alone": () => all(async (path) => decode(readFileSync(path), path)),
  "decoding and resizing alone": () => all(prepare),
  "the same on one core": () => all(prepare, 1),
  "the model alone": () => embed(towers),
  "the model on one core": () => embed(onOneCore.towers),
  async embedStream() {
    let done = 0;
    for await (const { embeddings } of model.embedStream(paths)) {
      done += embeddings.filter((one) => one instanceof Float32Array).length;
    }
    if (done !== count) throw new Error(`${count} pictures, but ${done} embeddings`);
  },
};

interface Sharp {
  (path: string): Sharp;
  resize(width: number, height: number, options: object): Sharp;
  raw(): Sharp;
  toBuffer(): Promise<Uint8Array>;
}
try {
  const require = createRequire(new URL("peers/package.json", import.meta.url));
  const sharp = require("sharp") as Sharp;
  const [height, width] = image.size;
  ways["sharp, decoding alone"] = () => all((path) => sharp(path).raw().toBuffer());
  ways["sharp, decoding and resizing alone"] = () =>
    all((path) => sharp(path).resize(width, height, { fit: "fill", kernel: "cubic" }).raw().toBuffer());
} catch {
  console.log("sharp is not installed in bench/peers: npm --prefix bench/peers ci");
}

interface Taken {
  readonly rate: number;
  readonly cpu: number;
  /** Of the time, in which the tower had nothing to do. */
  readonly waiting: number;
}

async function take(work: () => Promise<unknown>): Promise<Taken> {
  const started = performance.now();
  const before = process.cpuUsage();
  busy.seconds = 0;
  await work();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { rate: count / seconds, cpu: (user + system) / 1e6 / count, waiting: 1 - busy.seconds / seconds };
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

try {
  await verify();
  for (const path of paths.slice(0, 64)) prepared.push(await prepare(path));
  const taken = new Map<string, Taken[]>(Object.keys(ways).map((what) => [what, []]));
  // Round by round, so that what else the machine does meets all of them.
  for (let round = 0; round < rounds; round++) {
    for (const [what, work] of Object.entries(ways)) taken.get(what)!.push(await take(work));
  }
  const rows: FolderRow[] = [...taken].map(([what, runs]) => ({
    what,
    rate: median(runs.map(({ rate }) => rate)),
    cpu: median(runs.map(({ cpu }) => cpu)),
  }));
  console.log(
    table(
      ["", "pictures/s", "processor time each", "cores busy"],
      rows.map(({ what, rate, cpu }) => [what, digits(rate), duration(cpu), digits(rate * cpu)]),
    ),
  );
  const rate = (what: string) => rows.find((row) => row.what === what)!.rate;
  const [pictures, tower, both] = ["decoding and resizing alone", "the model alone", "embedStream"].map(rate);
  const slower = Math.min(rate("the same on one core"), rate("the model on one core"));
  const bound = 1 / (1 / pictures + 1 / tower);
  const waiting = median(taken.get("embedStream")!.map((run) => run.waiting));
  console.log(`embedStream is at ${percent(both / Math.min(pictures, tower))} of the slower of both alone`);
  console.log(`at ${percent(both / slower)} of the slower of both with a core each`);
  console.log(`and at ${percent(both / bound)} of ${digits(bound)} pictures/s, what both can do on the same cores`);
  console.log(`the model waits ${percent(waiting)} of the time`);
  const result: FolderResult = { bench: "folder", adapter: undefined, environment: environment(), rows };
  if (count === 2000) console.log(`written to ${writeResult(result)}`);
} finally {
  model.dispose();
  await onOneCore.free();
}
