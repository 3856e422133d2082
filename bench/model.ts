/**
 * `npm run bench:model`: both towers of so400m end to end, in every precision and at batches of 1, 8 and 32, each verified
 * against the golden embeddings and then timed; memory, loading, compilation, the device's time by kernel, and the share of what
 * the device was measured to do at most. On a software adapter batch 1 in f16, once.
 *
 *   --case tiny-hd72   another golden case       --towers image,text   --batch 1,8,32   --dtype f16,q8
 *   --cpu              the CPU backend            --json                the result on stdout
 *   --wasm             the wasm backend: pictures one at a time, texts one and 32 at a time; writes model-<processor>-node-<version>.json
 *   --threads 2        of the wasm backend
 *   --portable         as if there were no matrix units: writes model-<adapter>-portable.json
 *
 * SIGLIP_FULL_DIR names a folder with so400m's synthetic weights (test/judge/write-synthetic.ts); without it they are made as they
 * load. Writes bench/results/model-<adapter>.json when so400m ran as planned. Ends with 1 if anything was wrong.
 */

import { parseArgs } from "node:util";
import { loadTowers, type Tower } from "../src/model/towers.ts";
import type { Backend } from "../src/tensor/backend.ts";
import { CpuBackend } from "../src/tensor/cpu.ts";
import type { WeightDType } from "../src/tensor/program.ts";
import { WebGpuBackend } from "../src/tensor/webgpu/backend.ts";
import { capabilitiesOf } from "../src/tensor/webgpu/device.ts";
import { deviceOptions } from "../src/tensor/webgpu/open.ts";
import { arrived } from "./lib/arrived.ts";
import { type Ceilings, measureCeilings } from "./lib/ceilings.ts";
import { type Bench, describe } from "./lib/device.ts";
import { CEILING_SHADERS, openNodeBench } from "./lib/node.ts";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { digits, duration, percent, rate } from "./lib/statistics.ts";
import { openWasm } from "./lib/wasm.ts";
import { type LoadFigures, type ModelRow, measure } from "./model/measure.ts";
import { openSubject } from "./model/subject.ts";

/** bench/results/model-*.json. */
export interface ModelResult extends Result<ModelRow> {
  readonly bench: "model";
  readonly model: string;
  /** Absent on the CPU backend. */
  readonly ceilings?: Ceilings;
  /** The run was broken off, or is not done. */
  readonly unfinished?: boolean;
}

const REAL = "so400m-384";

const { values: options } = parseArgs({
  options: {
    case: { type: "string", default: REAL },
    towers: { type: "string" },
    batch: { type: "string" },
    dtype: { type: "string" },
    cpu: { type: "boolean", default: false },
    wasm: { type: "boolean", default: false },
    threads: { type: "string" },
    portable: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const tell = (line: string) => void (options.json ? console.error(line) : console.log(line));

const bench: Bench | undefined = options.cpu || options.wasm ? undefined : await openNodeBench(options.portable);
tell(bench ? describe(bench.adapter) : `the ${options.wasm ? "wasm" : "CPU"} backend`);
const ceilings = bench && (await measureCeilings(bench, CEILING_SHADERS, tell));
const slow = !options.wasm && (!bench || bench.adapter.software);
const batchesOf = (tower: Tower) =>
  options.batch?.split(",").map(Number) ?? (slow ? [1] : !options.wasm ? [1, 8, 32] : tower === "text" ? [1, 32] : [1]);
const every: readonly WeightDType[] = options.wasm ? ["f32", "f16", "q8", "i8", "q4"] : ["f16", "q8", "q4", "f32"];
const dtypes = (options.dtype?.split(",") as WeightDType[]) ?? (slow ? [bench ? "f16" : "f32"] : every);
const wanted = (options.towers?.split(",") as Tower[]) ?? ["image", "text"];
const subject = await openSubject(options.case, options.case === REAL ? process.env.SIGLIP_FULL_DIR : undefined);

const partial = options.case !== REAL || options.towers || options.batch || options.dtype;
const rows: ModelRow[] = [];
const result: ModelResult = {
  bench: "model",
  model: subject.name,
  adapter: bench?.adapter,
  environment: environment(),
  ceilings,
  rows,
};
let written = "";
for (const weights of dtypes) {
  const { backend, activations, matrix, on } = await makeBackend(weights);
  const where = { profile: bench?.profile, ceilings, matrix, held: () => backend.bytes };
  const checkpoint = await subject.open();
  const started = performance.now();
  const towers = await loadTowers(backend, checkpoint, subject.config, { dtype: weights, towers: wanted });
  // A first small read, so that everything uploaded has arrived.
  await arrived(backend);
  const figures: LoadFigures = {
    model: subject.name,
    backend: backend.name,
    on,
    weights,
    activations,
    source: subject.source,
    load: (performance.now() - started) / 1000,
    weightBytes: backend.bytes,
  };
  tell(
    `\n${subject.name}${on ? ` on ${on}` : ""}, weights ${weights}, activations ${activations}: ${figures.source} loaded in ${duration(figures.load)}, ${digits(figures.weightBytes / 1e6)} MB`,
  );
  for (const tower of wanted) {
    for (const batch of batchesOf(tower)) {
      const once = slow && subject.name === REAL;
      const row = { ...figures, tower, batch, once };
      rows.push(await measure(subject, towers, where, row));
      tell(line(rows.at(-1)!));
      const unfinished: ModelResult = { ...result, unfinished: true };
      // What is known so far survives a run that is broken off.
      if (!partial) written = writeResult(unfinished);
    }
  }
  backend.dispose();
}

if (!partial) writeResult(result);
tell(partial ? "\nNot the whole: nothing written." : `\nwritten to ${written}`);
const wrong = rows.some((row) => row.error);
// Dawn keeps the process alive, so it is ended once everything is out.
process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : "", () => process.exit(wrong ? 1 : 0));

/** The backend that `Siglip.load` would make, on the device that is measured. */
async function makeBackend(weights: WeightDType): Promise<{
  backend: Backend;
  activations: "f32" | "f16";
  matrix: boolean;
  on?: string;
}> {
  if (options.wasm) {
    const threads = options.threads === undefined ? undefined : Number(options.threads);
    return { ...(await openWasm(weights, threads)), activations: "f32", matrix: false };
  }
  if (!bench) return { backend: new CpuBackend(), activations: "f32", matrix: false };
  const { device, adapter } = bench;
  const backend = new WebGpuBackend(device, deviceOptions(device, adapter.software, weights));
  const half = backend.activations === "f16";
  // Matrix units of a shape that no kernel of ours takes are not held against the row.
  const matrix = half && ceilings?.matrix !== undefined && capabilitiesOf(device, half).unit !== undefined;
  return { backend, activations: half ? "f16" : "f32", matrix };
}

function line(row: ModelRow): string {
  const head = `${row.tower} x ${row.batch}: 1 - cosine ${row.distance.toExponential(1)}, first ${duration(row.first)}`;
  if (row.error) return `${head}; WRONG, not timed: ${row.error}`;
  const noun = row.tower === "image" ? "images" : "texts";
  const kernels = Object.entries(row.kernels ?? {}).map(
    ([name, { seconds, dispatches }]) =>
      `    ${name.padEnd(24)} ${digits((100 * seconds) / row.device!).padStart(5)}% ${duration(seconds).padStart(9)} in ${dispatches} dispatches`,
  );
  return [
    `${head}${row.pipelines ? ` (${row.pipelines} pipelines compiled in ${duration(row.compile!)})` : ""}`,
    `  ${duration(row.min!)} min, ${duration(row.median!)} median of ${row.runs}: ${duration(row.median! / row.batch)} each, ` +
      `${digits(row.itemsPerSecond!)} ${noun}/s; ${rate(row.flopsPerSecond!)}${share(row)}; ${digits(row.bytes! / 1e6)} MB held${row.cpu === undefined ? "" : `; ${duration(row.cpu)} of all threads' time`}${row.device === undefined ? "" : `; on the device ${duration(row.device)}:`}`,
    ...kernels,
  ].join("\n");
}

function share({ ceiling, ofCeiling }: ModelRow): string {
  return ofCeiling === undefined ? "" : `, ${percent(ofCeiling)} of ${ceiling}`;
}
