// One start in a process of its own, as a program that loads a model and embeds for the first time: prints one line of JSON.
// usage: child.ts JSON, a Task

import { loadTowers, type Tower } from "../../src/model/towers.ts";
import { keptForms } from "../../src/node/cache/chosen-forms.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { chosenFormsKey, deviceOptions } from "../../src/tensor/webgpu/open.ts";
import { arrived } from "../lib/arrived.ts";
import type { Adapter } from "../lib/device.ts";
import { openNodeBench } from "../lib/node.ts";
import { timing } from "../lib/statistics.ts";
import { ALLOWED, openSubject } from "../model/subject.ts";
import { demoSubject } from "./demo.ts";
import { watchTrials } from "./watch.ts";

/** What a start is made of. */
export interface Task {
  /** "demo" or a golden case, whose weights come from `folder` where one is given. */
  readonly model: string;
  readonly folder?: string;
  readonly dtype: WeightDType;
  readonly batch: number;
  readonly portable: boolean;
  /** Forms are tried on a software adapter, too, where they are pinned else. */
  readonly trials: boolean;
}

/** What was compiled and tried in one part of a start; seconds. */
export interface Part {
  /** Loading compiles what rounds weights on the device; "all" is the sum. */
  readonly part: "loading" | Tower | "all";
  readonly pipelines: number;
  /** During which at least one pipeline was being compiled; trials may go on meanwhile. */
  readonly compile: number;
  /** Shapes for which forms were tried, and what that took. */
  readonly tried: number;
  readonly trial: number;
  /** The first embedding, and the median of those after it. */
  readonly first?: number;
  readonly median?: number;
  /** What the first use cost beyond the work itself: first - median, of loading its compilation. */
  readonly extra: number;
  readonly distance?: number;
  readonly error?: string;
}

/** One start. */
export interface Start {
  readonly adapter: Adapter;
  readonly activations: "f32" | "f16";
  /** Choices of forms found from earlier starts. */
  readonly known: number;
  readonly parts: readonly Part[];
}

/** Seconds of the runs after the first, and how many they are at least and at most. */
const BUDGET = 2;
const [LEAST, MOST] = [1, 20];

const task: Task = JSON.parse(process.argv[2]);
const bench = await openNodeBench(task.portable);
const watched = watchTrials(bench.device);
const chosen = keptForms(chosenFormsKey(bench.info));
const known = chosen.size;
const software = bench.adapter.software && !task.trials;
const backend = new WebGpuBackend(watched.device, { ...deviceOptions(bench.device, software, task.dtype), chosen });
const subject = task.model === "demo" ? await demoSubject() : await openSubject(task.model, task.folder);
const checkpoint = await subject.open();
const towers: Tower[] = ["image", "text"];
const parts: Part[] = [];

const count = counter();
const loaded = await loadTowers(backend, checkpoint, subject.config, { dtype: task.dtype, towers });
// A first small read, so that everything uploaded has arrived.
await arrived(backend);
const loading = count();
parts.push({ part: "loading", ...loading, extra: loading.compile });
for (const tower of towers) parts.push(await embed(tower));
const sum = (what: "pipelines" | "compile" | "tried" | "trial" | "extra") =>
  parts.reduce((total, part) => total + part[what], 0);
parts.push({
  part: "all",
  pipelines: sum("pipelines"),
  compile: sum("compile"),
  tried: sum("tried"),
  trial: sum("trial"),
  extra: sum("extra"),
});
const start: Start = {
  adapter: bench.adapter,
  activations: backend.activations === "f16" ? "f16" : "f32",
  known,
  parts,
};
// Dawn keeps the process alive.
process.stdout.write(`${JSON.stringify(start)}\n`, () => process.exit(0));

/** What a tower's first embedding costs, verified, beside those that follow. */
async function embed(tower: Tower): Promise<Part> {
  const run = subject.prepare(tower, task.batch);
  const count = counter();
  const clock = async () => {
    const from = performance.now();
    const values = await run(loaded);
    return { values, seconds: (performance.now() - from) / 1000 };
  };
  const { values, seconds: first } = await clock();
  const counted = count();
  const times: number[] = [];
  for (let spent = 0; times.length < LEAST || (times.length < MOST && spent < BUDGET); spent += times.at(-1)!) {
    times.push((await clock()).seconds);
  }
  const { median } = timing(times);
  const distance = await subject.distance(values, tower);
  const allowed = ALLOWED[task.dtype];
  const error =
    distance <= allowed ? undefined : `1 - cosine is ${distance.toExponential(2)}, at most ${allowed} allowed`;
  return { part: tower, ...counted, first, median, extra: Math.max(0, first - median), distance, error };
}

/** Counts from now on. */
function counter() {
  const before = bench.profile.compiled();
  const [tried, trial] = [backend.trials.size, watched.trialSeconds()];
  return () => {
    const after = bench.profile.compiled();
    return {
      pipelines: after.pipelines - before.pipelines,
      compile: after.seconds - before.seconds,
      tried: backend.trials.size - tried,
      trial: watched.trialSeconds() - trial,
    };
  };
}
