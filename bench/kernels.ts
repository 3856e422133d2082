/**
 * `npm run bench`: every form of every kernel at so400m's shapes, verified against float64 and then timed by the device's
 * own clock, beside what the device can do at most; the shapes of 32 texts and 32 pictures with f16 weights only. On a
 * software adapter one run of 64 rows each, every precision on one layer only and nothing that takes long, unless --full.
 *
 *   --only linear|attention|layer_norm|patches  one operation      --form NAME      one form
 *   --rows 1,64                                 rows of the result    --weights f16    precisions of the weights
 *   --full   all shapes, whatever the adapter                       --json           the result on stdout
 *
 * Writes bench/results/kernels-<adapter>.json unless something was left out. Ends with 1 if anything was wrong.
 */
import { parseArgs } from "node:util";
import type { StoredDType } from "../src/tensor/program.ts";
import { type Ceilings, measureCeilings } from "./lib/ceilings.ts";
import { describe } from "./lib/device.ts";
import { CEILING_SHADERS, openNodeBench } from "./lib/node.ts";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { digits, duration, percent } from "./lib/statistics.ts";
import type { KernelRow } from "./operations/measure.ts";
import { BATCH_ROWS, isReduced, measureKernels } from "./operations/suite.ts";
import { OPERATIONS } from "./operations/trial.ts";

/** bench/results/kernels-*.json. */
export interface KernelResult extends Result<KernelRow> {
  readonly bench: "kernels";
  /** All shapes, and not the few that a software adapter is given. */
  readonly full: boolean;
  readonly ceilings: Ceilings;
  /** The run was broken off: rows are missing. */
  readonly unfinished?: boolean;
}

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    form: { type: "string" },
    rows: { type: "string" },
    weights: { type: "string" },
    full: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const tell = (line: string) => void (options.json ? console.error(line) : console.log(line));

const bench = await openNodeBench();
const { adapter } = bench;
tell(describe(adapter));
tell(adapter.timestamps ? "timed by timestamp queries" : "timed by the clock on the wall: no timestamp-query");
const ceilings = await measureCeilings(bench, CEILING_SHADERS, tell);
tell(`half the multiply-adds took ${percent(ceilings.halved)} of the time\n`);

const rows: KernelRow[] = [];
const wanted = {
  ops: OPERATIONS.filter((op) => op === (options.only ?? op)),
  form: options.form,
  rows: options.rows?.split(",").map(Number),
  weights: options.weights?.split(",") as StoredDType[] | undefined,
  more: options.rows || adapter.software ? [] : BATCH_ROWS,
  full: options.full,
};
const result: KernelResult = {
  bench: "kernels",
  adapter,
  environment: environment(),
  full: !isReduced(bench, options.full),
  ceilings,
  rows,
};
const partial = options.only ?? options.form ?? options.rows ?? options.weights;
for await (const row of measureKernels(bench, ceilings, wanted)) {
  rows.push(row);
  tell(line(row));
  // What is known so far survives a run that is broken off.
  const sofar: KernelResult = { ...result, unfinished: true };
  if (!partial && rows.length % 100 === 0) writeResult(sofar);
}
tell(partial ? "\nA part only: nothing written." : `\nwritten to ${writeResult(result)}`);
tell(`${bench.profile.compiled().pipelines} pipelines compiled in ${duration(bench.profile.compiled().seconds)}`);
const wrong = rows.filter((row) => row.error).length;
tell(
  `${rows.filter((row) => row.median).length} timed, ${rows.filter((row) => row.skipped).length} skipped, ${wrong} wrong`,
);
// Dawn keeps the process alive, so it is ended once everything is out.
process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : "", () => process.exit(wrong ? 1 : 0));

function line(row: KernelRow): string {
  const { op, form, layer = "", shape = "", weights = "", activations = "" } = row;
  const head = `${op.padEnd(10)} ${layer.padEnd(7)} ${shape.padEnd(22)} ${form.padEnd(12)} ${weights.padEnd(3)} x ${activations}`;
  if (row.skipped) return `${head}  skipped: ${row.skipped}`;
  if (row.error) return `${head}  WRONG, not timed: ${row.error}`;
  return [
    head,
    `${duration(row.min!)} min`.padStart(14),
    `${duration(row.median!)} median`.padStart(17),
    `${digits(row.flopsPerSecond! / 1e9)} GFLOP/s`.padStart(17),
    `${digits(row.bytesPerSecond! / 1e9)} GB/s`.padStart(12),
    `${percent(row.ofCeiling)} of ${row.ceiling}`.padStart(16),
    row.halved === undefined ? "" : `half the work: ${percent(row.halved)}`,
  ].join(" ");
}
