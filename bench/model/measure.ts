import type { Tower, Towers, Values } from "../../src/model/towers.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import type { Ceilings } from "../lib/ceilings.ts";
import type { Profile, Span } from "../lib/profile.ts";
import { type Timing, timing } from "../lib/statistics.ts";
import { fmaCeiling, towerFlops } from "../lib/work.ts";
import { ALLOWED, type Subject } from "./subject.ts";

/** What loading both towers took; seconds and bytes. */
export interface LoadFigures {
  readonly model: string;
  readonly backend: string;
  /** Threads, instructions and forms of the wasm backend. */
  readonly on?: string;
  readonly weights: WeightDType;
  readonly activations: "f32" | "f16";
  readonly source: Subject["source"];
  readonly load: number;
  /** Of weights and constants on the backend. */
  readonly weightBytes: number;
}

/** One line of the results: a tower, a batch, a precision. Seconds, bytes; rates are by the median. */
export interface ModelRow extends LoadFigures, Partial<Timing> {
  readonly tower: Tower;
  readonly batch: number;
  /** Largest 1 - cosine to the golden embeddings. */
  readonly distance: number;
  /** The first embedding of this batch: compilation and trials of kernel forms are in it. */
  readonly first: number;
  /** Pipelines that were compiled for it, and the seconds during which any was. */
  readonly pipelines?: number;
  readonly compile?: number;
  /** Seconds of one run that this process's threads computed, all together: others at work on the machine do not lengthen it. */
  readonly cpu?: number;
  readonly itemsPerSecond?: number;
  readonly flopsPerSecond?: number;
  /** The ceiling of the device that limits the row, and the share of it that the tower's useful work reached. */
  readonly ceiling?: "f32" | "f16" | "matrix";
  readonly ofCeiling?: number;
  /** Held by the backend afterwards: weights, activations, staging. */
  readonly bytes?: number;
  /** Seconds of one run that the device spent in kernels, from timestamps; what is missing to the median is the host's. */
  readonly device?: number;
  /** The same by kernel. */
  readonly kernels?: Readonly<Record<string, { readonly seconds: number; readonly dispatches: number }>>;
  readonly error?: string;
}

/** What is measured on. */
export interface Where {
  readonly profile?: Profile;
  readonly ceilings?: Ceilings;
  /** The backend has matrix units to choose from. */
  readonly matrix: boolean;
  /** Bytes that the backend holds. */
  held(): number;
}

/** Seconds that the timed runs of one row may take in all, and how many they are at most. */
const BUDGET = 5;
const MOST = 50;

/**
 * Embeds, verifies, and times only what is right: end to end, from pixel values or token ids to the embeddings on the host.
 * With `once` the first run is the timed one.
 */
export async function measure(
  subject: Subject,
  towers: Towers,
  { profile, ceilings, matrix, held }: Where,
  row: LoadFigures & { tower: Tower; batch: number; once: boolean },
): Promise<ModelRow> {
  const { once, ...head } = row;
  const { tower, batch } = row;
  const before = profile?.compiled();
  const run = subject.prepare(tower, batch);
  let values: Values | undefined;
  let first = 0;
  const embed = async () => {
    const from = performance.now();
    values = await run(towers);
    first = seconds(from);
  };
  // Where one run takes minutes it is the first that is profiled; compiling and two timestamps a dispatch cost nothing beside it.
  let spans: readonly Span[] = [];
  if (once && profile) spans = await profile.record(embed);
  else await embed();
  const after = profile?.compiled();
  const distance = await subject.distance(values!, tower);
  const found = {
    ...head,
    distance,
    first,
    pipelines: after && before && after.pipelines - before.pipelines,
    compile: after && before && after.seconds - before.seconds,
  };
  const allowed = ALLOWED[row.weights];
  if (!(distance <= allowed)) {
    return { ...found, error: `1 - cosine is ${distance.toExponential(2)}, at most ${allowed} allowed` };
  }
  const times: number[] = once ? [first] : [];
  const started = process.cpuUsage();
  let cpu: number | undefined;
  if (!once) {
    for (let spent = 0; times.length < MOST && (times.length === 0 || spent < BUDGET); spent += times.at(-1)!) {
      const from = performance.now();
      await run(towers);
      times.push(seconds(from));
    }
    // What a GPU's driver computes would say nothing of the model.
    if (!profile) cpu = cpuSeconds(started) / times.length;
    if (profile) spans = await profile.record(() => run(towers));
  }
  const taken = timing(times);
  const flopsPerSecond = (batch * towerFlops(subject.config, tower)) / taken.median;
  const ceiling = ceilings && (matrix ? "matrix" : fmaCeiling(ceilings, row.activations));
  const most = ceiling && ceilings?.[ceiling];
  return {
    ...found,
    ...taken,
    cpu,
    itemsPerSecond: batch / taken.median,
    flopsPerSecond,
    ceiling,
    ofCeiling: most && flopsPerSecond / most,
    bytes: held(),
    device: profile?.timestamps ? spans.reduce((sum, span) => sum + span.seconds, 0) : undefined,
    kernels: profile?.timestamps ? byKernel(spans) : undefined,
  };
}

function seconds(from: number): number {
  return (performance.now() - from) / 1000;
}

function cpuSeconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

/** Sums by kernel and epilogue, the largest first. */
function byKernel(spans: readonly Span[]): ModelRow["kernels"] {
  const sums = new Map<string, { seconds: number; dispatches: number }>();
  for (const { label, seconds } of spans) {
    const name = kernelName(label);
    const sum = sums.get(name) ?? { seconds: 0, dispatches: 0 };
    sums.set(name, { seconds: sum.seconds + seconds, dispatches: sum.dispatches + 1 });
  }
  return Object.fromEntries([...sums].sort(([, a], [, b]) => b.seconds - a.seconds));
}

/** "linear {…"GELU":true…}" to "linear gelu". */
function kernelName(label: string): string {
  const [kernel] = label.split(" ", 1);
  const gelu = label.includes('"GELU":true') ? " gelu" : "";
  const add = label.includes('"ADD":true') ? " add" : "";
  return kernel + gelu + add;
}
