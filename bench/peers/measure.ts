import type { Values } from "../../src/model/towers.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import type { ModelFiles } from "./files.ts";

/** Precisions: ours, and the integers of others, which are not the same arithmetic. */
export type DType = WeightDType | "int8" | "int4";

/** What one child process measures. */
export interface Task {
  readonly engine: string;
  readonly dtype: DType;
  /** Of the engines that are told. */
  readonly threads?: number;
  readonly case: string;
  readonly batch: number;
  /** For the engines that run a tower. */
  readonly files?: ModelFiles;
  /** Seconds from the child's start to its end. */
  readonly limit: number;
  /** Seconds that the timed runs may take in all; one there always is. */
  readonly seconds: number;
}

/** Something loaded, ready to run. */
export interface Loaded {
  /** What it runs on or as, where the engine's name does not tell. */
  readonly on?: string;
  /** Largest resident memory of that program, in bytes. */
  readonly peak?: () => number;
  /** The whole result, to be verified. */
  output(): Promise<Float32Array>;
  /** What is timed: the same work, waited for, where only the reading back may be left out. */
  run(): Promise<unknown>;
}

/** One row of the results; seconds and bytes. What a failed or stopped row did not reach is absent. */
export interface Figures {
  load?: number;
  /** The first run, compilation of kernels included. */
  first?: number;
  min?: number;
  median?: number;
  runs?: number;
  /** Largest resident memory of the process; a GPU's own memory is not in it. */
  peak?: number;
  /** The smallest cosine between a row of the result and its reference, and its distance from 1 (exact when tiny). */
  cosine?: number;
  distance?: number;
  /** The largest absolute difference between a result's element and its reference. */
  difference?: number;
  /** Squared differences over squared values of the reference, both summed over all elements. */
  nmse?: number;
  /** See `Loaded`. */
  on?: string;
  /** Why there is a first run only. */
  note?: string;
  error?: string;
}

/**
 * The largest 1 - cosine that counts as the same result. A float32 tower stays below 1e-9; float16 all through, residual
 * stream included, costs some 1e-5 to 1e-4; anything really wrong (a bias or a head mixed up) costs more than 1e-2. For our own
 * integers it is what the project promises; those of others cost 3e-4 (int8) and 0.03 (int4) at so400m's shape, and are shown.
 */
export const ALLOWED: Record<DType, number> = {
  f32: 1e-7,
  f16: 1e-3,
  q8: 2e-4,
  i8: 1e-3,
  q4: 0.04,
  int8: 0.01,
  int4: 0.1,
};

/** Timed runs of one row, at most. */
const MOST = 50;

/** Loads, runs once, verifies, and only then times; `tell` gets every figure as soon as it is known. */
export async function measure(
  load: () => Promise<Loaded>,
  expected: () => Promise<Values>,
  { dtype, limit, seconds: budget }: Pick<Task, "dtype" | "limit" | "seconds">,
  tell: (figures: Figures) => void,
): Promise<void> {
  const started = performance.now();
  const { on, output, run, ...loaded } = await load();
  const peak = () => tell({ peak: loaded.peak?.() ?? process.resourceUsage().maxRSS * 1024 });
  tell({ load: seconds(started), on });
  peak();
  const from = performance.now();
  const actual = await output();
  const first = seconds(from);
  tell({ first });
  peak();
  const found = compareRows(actual, await expected());
  tell(found);
  if (!(found.distance <= ALLOWED[dtype])) {
    return tell({
      error: `wrong: 1 - cosine is ${found.distance.toExponential(1)}, at most ${ALLOWED[dtype]} allowed; not timed`,
    });
  }
  const times: number[] = [];
  for (let spent = 0; times.length < MOST && (times.length === 0 || spent < budget); ) {
    // The second run is not slower than the first.
    if (seconds(started) + (times.at(-1) ?? first) > limit - 5) break;
    const start = performance.now();
    await run();
    times.push(seconds(start));
    spent += times.at(-1)!;
  }
  peak();
  const sorted = times.toSorted((a, b) => a - b);
  if (sorted.length > 0) tell({ min: sorted[0], median: sorted[sorted.length >> 1], runs: sorted.length });
  else tell({ note: `only the first run fits into ${limit} s` });
}

function seconds(from: number): number {
  return (performance.now() - from) / 1000;
}

/** Compares a result with its reference [rows, width], row by row; the result's rows repeat the reference's. */
function compareRows(actual: Float32Array, expected: Values) {
  const [rows, width] = expected.shape;
  if (actual.length === 0 || actual.length % expected.data.length !== 0) {
    throw new Error(`wanted a multiple of ${rows} x ${width} values, found ${actual.length}`);
  }
  let distance = 0;
  let difference = 0;
  let [error, power] = [0, 0];
  for (let start = 0; start < actual.length; start += width) {
    let [dot, aa, ee] = [0, 0, 0];
    const offset = start % expected.data.length;
    for (let i = 0; i < width; i++) {
      const [a, e] = [actual[start + i], expected.data[offset + i]];
      [dot, aa, ee] = [dot + a * e, aa + a * a, ee + e * e];
      difference = Math.max(difference, Math.abs(a - e));
      error += (a - e) ** 2;
    }
    power += ee;
    // 1 - cosine as half the squared distance of the unit vectors: no digits cancel.
    let square = 0;
    for (let i = 0; i < width; i++) {
      square += (actual[start + i] / Math.sqrt(aa) - expected.data[offset + i] / Math.sqrt(ee)) ** 2;
    }
    // NaN has to stay.
    if (!(square / 2 <= distance)) distance = square / 2;
  }
  return { cosine: 1 - distance, distance, difference, nmse: error / power };
}
