/**
 * `npm run bench:start`: what kernels cost before the first embedding, at a first start and at a second one. Two processes, one
 * after the other, share a cache folder that is empty at first: the forms chosen are kept there as `Siglip.load` keeps them, and so
 * is what a driver keeps of its own. so400m's synthetic weights in f16, both towers; on a software adapter the demo model.
 *
 *   --case tiny-hd72   another golden case, or demo        --dtype q4   --batch 32        --json   the result on stdout
 *   --portable         as if there were no matrix units: writes start-<adapter>-portable.json
 *   --trials           forms are tried on a software adapter, too, where they are pinned else
 *
 * SIGLIP_FULL_DIR names a folder with so400m's synthetic weights; without it they are made as they load, twice. Writes
 * bench/results/start-<adapter>.json unless another model, dtype or batch was asked for. Ends with 1 if anything was wrong.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import type { WeightDType } from "../src/tensor/program.ts";
import { describe } from "./lib/device.ts";
import { openNodeBench } from "./lib/node.ts";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { duration } from "./lib/statistics.ts";
import type { Part, Start, Task } from "./start/child.ts";

/** One part of one start. */
export interface StartRow extends Part {
  readonly start: 1 | 2;
}

/** bench/results/start-*.json. */
export interface StartResult extends Result<StartRow> {
  readonly bench: "start";
  readonly model: string;
  readonly weights: WeightDType;
  readonly activations: "f32" | "f16";
  readonly batch: number;
  /** Forms were not tried, as on every software adapter. */
  readonly pinned: boolean;
  /** Bytes in the cache folder after the first start: of this package, and of a driver that keeps what it compiled. */
  readonly cached: Readonly<Record<string, number>>;
}

const { values: options } = parseArgs({
  options: {
    case: { type: "string" },
    dtype: { type: "string", default: "f16" },
    batch: { type: "string", default: "1" },
    portable: { type: "boolean", default: false },
    trials: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const tell = (line: string) => void (options.json ? console.error(line) : console.log(line));

const { adapter } = await openNodeBench(options.portable);
tell(describe(adapter));
const model = options.case ?? (adapter.software ? "demo" : "so400m-384");
const task: Task = {
  model,
  folder: model === "so400m-384" ? process.env.SIGLIP_FULL_DIR : undefined,
  dtype: options.dtype as WeightDType,
  batch: Number(options.batch),
  portable: options.portable,
  trials: options.trials,
};
const cache = mkdtempSync(join(tmpdir(), "siglip-start-"));
process.once("exit", () => rmSync(cache, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
const rows: StartRow[] = [];
const starts: Start[] = [];
let cached: Record<string, number> = {};
for (const start of [1, 2] as const) {
  const found = await child();
  starts.push(found);
  if (start === 1) cached = sizes();
  tell(
    `\nstart ${start}: ${found.known} choices of forms known${start === 1 ? "" : `, ${JSON.stringify(cached)} bytes cached`}`,
  );
  for (const part of found.parts) {
    rows.push({ start, ...part });
    tell(line(part));
  }
}

const result: StartResult = {
  bench: "start",
  adapter,
  environment: environment(),
  model,
  weights: task.dtype,
  activations: starts[0].activations,
  batch: task.batch,
  pinned: adapter.software && !task.trials,
  cached,
  rows,
};
const partial = options.case !== undefined || task.dtype !== "f16" || task.batch !== 1 || task.trials;
tell(partial ? "\nNot the default: nothing written." : `\nwritten to ${writeResult(result)}`);
const wrong = rows.some(({ error }) => error);
// Dawn keeps the process alive.
process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : "", () => process.exit(wrong ? 1 : 0));

async function child(): Promise<Start> {
  const script = fileURLToPath(new URL("start/child.ts", import.meta.url));
  // NVIDIA's driver has its own name for where it keeps what it compiled.
  const env = { ...process.env, XDG_CACHE_HOME: cache, __GL_SHADER_DISK_CACHE_PATH: join(cache, "nvidia") };
  const args = [...process.execArgv, script, JSON.stringify(task)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

/** Bytes under the cache folder, by what lies in it. */
function sizes(): Record<string, number> {
  const sum = (path: string): number =>
    statSync(path).isDirectory()
      ? readdirSync(path).reduce((total, name) => total + sum(join(path, name)), 0)
      : statSync(path).size;
  return Object.fromEntries(readdirSync(cache).map((name) => [name, sum(join(cache, name))]));
}

function line({ part, pipelines, compile, tried, trial, first, median, extra, distance, error }: Part): string {
  const embedding =
    first === undefined
      ? ""
      : `first ${duration(first)}, median ${duration(median!)}, 1 - cosine ${distance!.toExponential(1)}; `;
  return (
    `  ${part.padEnd(8)} ${pipelines} pipelines compiled in ${duration(compile)}, ${tried} shapes tried in ${duration(trial)}; ` +
    `${embedding}before the first embedding ${duration(extra)}${error ? `; WRONG: ${error}` : ""}`
  );
}
