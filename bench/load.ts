/**
 * `npm run bench:load`: from a float32 file on the local disk, in the file cache, to weights on the device, beside what that
 * takes at least: `cat` of the bytes needed, and `writeBuffer` of as many bytes as our load gives to the device. Each run is a process
 * of its own; the three take turns. Host memory is the process's largest resident size less what the backend holds, less that
 * of a process which only loads the modules and makes the device.
 *
 *   --dtype f16,q4   --towers image,text   --runs 3   --json
 *   --rounding device,host   where weights are rounded, a row for each; by default as `Siglip.load` does it
 *
 * SIGLIP_FULL_DIR names the folder with so400m's synthetic weights (npx tsx test/judge/write-synthetic.ts --out DIR). Writes
 * bench/results/load-<adapter>.json when both towers were loaded.
 */
import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { openCheckpoint } from "../src/files/read-model.ts";
import { folderFiles } from "../src/node/folder.ts";
import type { Adapter } from "./lib/device.ts";
import { describe } from "./lib/device.ts";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { digits, duration, timing } from "./lib/statistics.ts";
import type { Found } from "./load/child.ts";

/** One dtype; seconds and bytes. */
export interface LoadRow {
  readonly dtype: string;
  readonly towers: string;
  /** Where the weights were rounded, if that was asked for. */
  readonly rounding?: string;
  /** Bytes of the file that the towers need, the token table not among them. */
  readonly bytes: number;
  /** Bytes that cross to the device. */
  readonly written: number;
  /** The least of the runs. */
  readonly load: number;
  readonly cat: number;
  readonly writeBuffer: number;
  /** load / (cat + writeBuffer). */
  readonly ratio: number;
  /** Host memory beside the backend, the most of the runs. */
  readonly host: number;
  readonly runs: number;
}

/** bench/results/load-*.json. */
export interface LoadResult extends Result<LoadRow> {
  readonly bench: "load";
}

const { values: options } = parseArgs({
  options: {
    dtype: { type: "string", default: "f16,q8,q4" },
    towers: { type: "string", default: "image,text" },
    runs: { type: "string", default: "3" },
    rounding: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const folder = process.env.SIGLIP_FULL_DIR;
if (!folder) {
  console.error("bench:load wants SIGLIP_FULL_DIR: the folder of npx tsx test/judge/write-synthetic.ts --out DIR.");
  process.exit(2);
}
const tell = (line: string) => void (options.json ? console.error(line) : console.log(line));
const runs = Number(options.runs);
const bytes = await neededBytes();
const rows: LoadRow[] = [];
let adapter: Adapter | undefined;
const roundings = options.rounding?.split(",") ?? [undefined];
if (roundings.some((where) => where !== undefined && where !== "device" && where !== "host")) {
  console.error(`bench:load wants --rounding device, host or both, found ${options.rounding}.`);
  process.exit(2);
}
const wanted = options.dtype.split(",").flatMap((dtype) => roundings.map((rounding) => ({ dtype, rounding })));
for (const { dtype, rounding } of wanted) {
  const load: Found[] = [];
  const [cat, write]: number[][] = [[], []];
  const { peak: baseline } = await child("baseline", dtype);
  for (let run = 0; run < runs; run++) {
    // cat first: it also brings the file into the cache.
    cat.push(await catSeconds());
    load.push(await child("load", dtype, 0, rounding));
    write.push((await child("write", dtype, load[run].written)).seconds);
  }
  adapter = load[0].adapter;
  const least = (seconds: readonly number[]) => timing(seconds).min;
  const row: LoadRow = {
    dtype,
    towers: options.towers,
    rounding,
    bytes,
    written: load[0].written,
    load: least(load.map(({ seconds }) => seconds)),
    cat: least(cat),
    writeBuffer: least(write),
    ratio: least(load.map(({ seconds }) => seconds)) / (least(cat) + least(write)),
    host: Math.max(...load.map(({ peak, held }) => peak - held - baseline)),
    runs,
  };
  rows.push(row);
  if (rows.length === 1) tell(describe(adapter));
  tell(
    `${dtype}${rounding ? `, rounded on the ${rounding}` : ""}: ${duration(row.load)}, ${digits(row.ratio)} times cat (${duration(row.cat)} for ${digits(bytes / 1e9)} GB) + writeBuffer (${duration(row.writeBuffer)} for ${digits(row.written / 1e9)} GB); host memory ${digits(row.host / 1e6)} MB`,
  );
}
const result: LoadResult = { bench: "load", adapter, environment: environment(), rows };
if (options.json) console.log(JSON.stringify(result));
if (options.towers === "image,text") tell(`written to ${writeResult(result)}`);

async function child(what: string, dtype: string, written = 0, rounding = ""): Promise<Found> {
  const script = fileURLToPath(new URL("load/child.ts", import.meta.url));
  const args = [...process.execArgv, script, what, folder!, dtype, options.towers, String(written), rounding];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

/** What `cat` takes for the bytes needed: all of the file, and the share of it that is needed. */
async function catSeconds(): Promise<number> {
  const file = `${folder}/model.safetensors`;
  const started = performance.now();
  await promisify(execFile)("sh", ["-c", 'cat "$0" > /dev/null', file]).catch(async () => {
    for await (const _ of createReadStream(file, { highWaterMark: 2 ** 20 })); // no sh, no cat: Windows
  });
  return ((performance.now() - started) / 1000) * (bytes / (await stat(file)).size);
}

async function neededBytes(): Promise<number> {
  const files = await folderFiles(folder!);
  const { tensors } = await openCheckpoint(files);
  await files.close();
  const prefixes = options.towers.split(",").map((tower) => (tower === "image" ? "vision_model." : "text_model."));
  let sum = 0;
  for (const { name, begin, end } of tensors.values()) {
    const wanted = prefixes.some((prefix) => name.startsWith(prefix)) && !name.endsWith("token_embedding.weight");
    if (wanted) sum += end - begin;
  }
  return sum;
}
