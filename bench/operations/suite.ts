import type { StoredDType } from "../../src/tensor/program.ts";
import type { Ceilings } from "../lib/ceilings.ts";
import type { Bench } from "../lib/device.ts";
import { duration } from "../lib/statistics.ts";
import { attentionTrials } from "./attention.ts";
import { Inputs } from "./inputs.ts";
import { linearTrials } from "./linear.ts";
import { type KernelRow, measure } from "./measure.ts";
import { layerNormTrials } from "./rows.ts";
import { OPERATIONS, type Operation, type Plan, subject, type Trial } from "./trial.ts";

const TRIALS = {
  linear: linearTrials,
  attention: attentionTrials,
  layer_norm: layerNormTrials,
};

const ALL_ROWS = [1, 64, 729, 5832];

/** Rows of 32 texts and of 32 pictures: more memory than a page can count on. */
export const BATCH_ROWS = [2048, 23328];
const WEIGHTS: readonly StoredDType[] = ["f32", "f16", "q8", "q4"];

/** Seconds that one run may take on a software adapter without `full`, foretold from the form's smaller shapes. */
const PATIENCE = 0.25;

/** Which kernels are wanted; absent means all. */
export interface Wanted {
  readonly ops?: readonly Operation[];
  readonly form?: string;
  /** Rows of the result, in ascending order. */
  readonly rows?: readonly number[];
  readonly weights?: readonly StoredDType[];
  /** Further rows, of linear maps with f16 weights only. */
  readonly more?: readonly number[];
  /** All shapes on a software adapter, too. */
  readonly full?: boolean;
}

/** Whether a software adapter is given less than all. */
export function isReduced({ adapter }: Bench, full = false): boolean {
  return adapter.software && !full;
}

/**
 * Every form of every kernel at so400m's shapes, verified and then timed, one after another. On a software adapter 64 rows,
 * every precision on one layer only and nothing that takes long, unless `full`.
 */
export async function* measureKernels(bench: Bench, ceilings: Ceilings, wanted: Wanted): AsyncGenerator<KernelRow> {
  const { device } = bench;
  const reduced = isReduced(bench, wanted.full);
  const inputs = new Inputs();
  const plan: Plan = {
    device,
    inputs,
    rows: wanted.rows ?? (reduced ? [64] : ALL_ROWS),
    more: wanted.more ?? [],
    activations: ["f32", "f16"],
    weights: wanted.weights ?? WEIGHTS,
    form: wanted.form,
  };
  /** The best FLOP/s of each form so far. */
  const rates = new Map<string, number>();
  /** Why a form is not run again on an adapter that it does not suit. */
  const foretold = ({ op, form, flops }: Trial): string | undefined => {
    const rate = rates.get(`${op} ${form}`);
    return rate && flops / rate > PATIENCE
      ? `more than ${duration(PATIENCE)} a run on this software adapter`
      : undefined;
  };
  for (const op of wanted.ops ?? OPERATIONS) {
    for await (const trial of TRIALS[op](plan)) {
      if (reduced && "layer" in trial && trial.op === "linear" && trial.layer !== "out" && trial.weights !== "f16")
        continue;
      const slow = reduced && "flops" in trial && foretold(trial);
      const row = slow ? { ...subject(trial), skipped: slow } : await measure(bench, ceilings, trial);
      const name = `${row.op} ${row.form}`;
      rates.set(name, Math.max(rates.get(name) ?? 0, row.flopsPerSecond ?? 0));
      yield row;
    }
    inputs.clear();
  }
}
