import { Recorder } from "../../src/tensor/program.ts";
import { compare } from "../../test/judge/compare.ts";
import type { Ceilings } from "../lib/ceilings.ts";
import type { Bench } from "../lib/device.ts";
import type { Span } from "../lib/profile.ts";
import { type Timing, timing } from "../lib/statistics.ts";
import { fmaCeiling } from "../lib/work.ts";
import { type Skip, type Subject, subject, type Trial } from "./trial.ts";

/** One line of the results: a trial that was timed, refused (`error`) or could not run (`skipped`). Seconds. */
export interface KernelRow extends Partial<Subject>, Partial<Timing> {
  readonly op: Subject["op"];
  readonly form: string;
  /** Normalised mean squared error against float64 on the sampled rows. */
  readonly nmse?: number;
  readonly flopsPerSecond?: number;
  readonly bytesPerSecond?: number;
  /** The ceiling that `ofCeiling` is a fraction of. */
  readonly ceiling?: Trial["ceiling"];
  readonly ofCeiling?: number;
  readonly ofCopy?: number;
  /** What fraction of the time half the work took. */
  readonly halved?: number;
  readonly skipped?: string;
  readonly error?: string;
}

/** Verifies a trial and, where it is right, times it. */
export async function measure(bench: Bench, ceilings: Ceilings | undefined, trial: Trial | Skip): Promise<KernelRow> {
  if ("skipped" in trial) return trial;
  let nmse: number;
  try {
    nmse = await verify(bench, trial);
  } catch (error) {
    return { ...subject(trial), error: (error as Error).message };
  }
  const times = timing(await time(bench, trial, trial.record));
  const half = trial.half && timing(await time(bench, trial, trial.half));
  const flopsPerSecond = trial.flops / times.median;
  const bytesPerSecond = trial.bytes / times.median;
  const ceiling = ceilings ? limiting(ceilings, trial.ceiling) : trial.ceiling;
  const limit = ceilings?.[ceiling];
  const reached = ceiling === "copy" ? bytesPerSecond : flopsPerSecond;
  return {
    ...subject(trial),
    nmse,
    ...times,
    flopsPerSecond,
    bytesPerSecond,
    ceiling,
    ofCeiling: limit && reached / limit,
    ofCopy: ceilings && bytesPerSecond / ceilings.copy,
    halved: half && half.min / times.min,
  };
}

/** The ceiling of a trial on this device. */
function limiting(ceilings: Ceilings, name: Trial["ceiling"]): Trial["ceiling"] {
  return name === "f16" ? fmaCeiling(ceilings, name) : name;
}

/** Throws unless the form that was wanted ran and made what float64 makes. */
async function verify({ profile }: Bench, trial: Trial): Promise<number> {
  const { backend, sample, kernel, constants } = trial;
  const p = new Recorder();
  p.output("y", p.rows(trial.record(p)(), sample));
  let actual: Float32Array = new Float32Array();
  const spans = await profile.record(async () => {
    actual = (await backend.run(p.finish(), {})).y;
  });
  if (!spans.some(({ label }) => isOf(trial, label))) {
    const labels = [...new Set(spans.map(({ label }) => label))].join("; ");
    throw new Error(`wanted ${kernel} ${JSON.stringify(constants)}, the backend ran ${labels}`);
  }
  const expected = await trial.expected();
  const shape = [sample.length, expected.length / sample.length];
  return compare(actual, expected, { shape, label: `${trial.op} ${trial.form}`, gate: trial.gate }).nmse;
}

/** Seconds that the timed runs of one trial may take in all, and that one submit may take. */
const BUDGET = 0.3;
const SUBMIT = 0.1;
const RUNS = 30;

/** Where timestamps are rounded, one long row of runs is timed as a whole. */
const ROUNDED_RUNS = 400;

/** Runs after which a backend has learnt the device's speed and no longer cuts the work into pieces. */
const WARM = 4;

/** Whether a dispatch is of the kernel and constants that a trial is about. */
function isOf({ kernel, constants }: Trial, label: string): boolean {
  if (!label.startsWith(`${kernel} `)) return false;
  return Object.entries(constants).every(([name, value]) =>
    label.includes(`${JSON.stringify(name)}:${JSON.stringify(value)}`),
  );
}

/** Seconds of each run. Verifying has compiled and warmed up; a software adapter is given one run. */
async function time(bench: Bench, trial: Trial, record: Trial["record"]): Promise<number[]> {
  let [first] = await repeat(bench, trial, record, 1);
  if (bench.adapter.software) return [first];
  for (let i = 1; i < WARM; i++) [first] = await repeat(bench, trial, record, 1);
  const most = bench.rounded ? ROUNDED_RUNS : RUNS;
  const times: number[] = [];
  for (let spent = 0; times.length < most && (times.length === 0 || spent < BUDGET); ) {
    const count = Math.max(1, Math.min(most - times.length, Math.floor(SUBMIT / first)));
    const found = await repeat(bench, trial, record, count);
    times.push(...found);
    spent += found.reduce((sum, seconds) => sum + seconds, 0);
  }
  return times;
}

/** Seconds of each of `count` runs in one submit; their mean where they cannot be told apart. */
async function repeat(
  { profile, rounded }: Bench,
  trial: Trial,
  record: Trial["record"],
  count: number,
): Promise<number[]> {
  const p = new Recorder();
  const once = record(p);
  let y = once();
  for (let i = 1; i < count; i++) y = once();
  p.output("y", p.rows(y, [0]));
  const program = p.finish();
  const started = performance.now();
  const spans = await profile.record(() => trial.backend.run(program, {}), rounded);
  const wall = (performance.now() - started) / 1000;
  if (!profile.timestamps) return Array.from({ length: count }, () => wall / count);
  const sum = (some: readonly Span[]) => some.reduce((total, { seconds }) => total + seconds, 0);
  // What makes the inputs is no part of it.
  const own = rounded ? spans : spans.filter(({ label }) => isOf(trial, label));
  const each = own.length / count;
  if (rounded || !Number.isInteger(each)) return Array.from({ length: count }, () => sum(own) / count);
  return Array.from({ length: count }, (_, i) => sum(own.slice(i * each, (i + 1) * each)));
}
