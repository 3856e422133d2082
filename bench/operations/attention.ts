import type { Recorder, Value } from "../../src/tensor/program.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import {
  ATTENTION,
  type AttentionName,
  attentionForms,
  fits,
  WORKGROUP_MEMORY,
} from "../../src/tensor/webgpu/tiles.ts";
import * as reference from "../../test/judge/reference.ts";
import { Stage, type Storage } from "./inputs.ts";
import { bytesOf, gate, missing, type Plan, type Skip, sampleRows, type Trial } from "./trial.ts";

const HEADS = 16;
const HEAD = 72;
const WIDTH = HEADS * HEAD;

interface Problem {
  readonly layer: string;
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
}

/** The attentions of so400m: a picture's patches, the MAP head's one query, a text. */
const PROBLEMS: readonly Problem[] = [
  { layer: "text", batch: 1, queries: 64, keys: 64 },
  { layer: "map", batch: 1, queries: 1, keys: 729 },
  { layer: "self", batch: 1, queries: 729, keys: 729 },
  { layer: "self", batch: 8, queries: 729, keys: 729 },
  { layer: "text", batch: 32, queries: 64, keys: 64 },
  { layer: "map", batch: 32, queries: 1, keys: 729 },
  { layer: "self", batch: 32, queries: 729, keys: 729 },
];

/** Every form of `attention` that fits, on all shapes with at most the plan's rows. */
export async function* attentionTrials(plan: Plan): AsyncGenerator<Trial | Skip> {
  const most = Math.max(...plan.rows, ...plan.more);
  for (const activations of plan.activations) {
    for (const form of Object.keys(ATTENTION) as AttentionName[]) {
      if (plan.form && plan.form !== form) continue;
      const { [form]: own } = ATTENTION;
      const skipped =
        missing(plan.device, activations, own) ??
        (fits(own, HEAD, plan.device.limits.maxComputeWorkgroupStorageSize)
          ? undefined
          : `heads of ${HEAD} do not fit its workgroup memory`);
      if (skipped) {
        yield { op: "attention", form, activations, skipped };
        continue;
      }
      for (const problem of PROBLEMS) {
        const { batch, queries, keys } = problem;
        // Of a batch, keys and values are as large as the queries' tokens.
        const tokens = batch === 1 ? queries : batch * keys;
        if (!suits(form, problem) || tokens > most) continue;
        const backend = new WebGpuBackend(plan.device, { attention: form, activations });
        yield trial(plan, new Stage(backend, plan.inputs), backend, form, problem, activations);
        backend.dispose();
      }
    }
  }
}

/** A single query has forms of its own, which the backend keeps to. */
function suits(form: AttentionName, { queries }: Problem): boolean {
  const core = { half: false, memory: WORKGROUP_MEMORY };
  return queries === 1 ? attentionForms(HEAD, 1, core).includes(form) : ATTENTION[form].queries > 1;
}

function trial(
  { inputs, rows: allRows }: Plan,
  stage: Stage,
  backend: WebGpuBackend,
  form: AttentionName,
  { layer, batch, queries, keys }: Problem,
  activations: Storage,
): Trial {
  const rows = batch * queries;
  // A query that serves all items, as the MAP head's does, comes from an item of its own.
  const queryShape = [layer === "map" ? 1 : batch, queries, 3 * WIDTH];
  const record = (count: number) => (p: Recorder) => {
    const q = stage.activation(p, queryShape);
    const kv = stage.activation(p, [batch, count, 3 * WIDTH]);
    const view = (value: Value, part: number) => ({ value, offset: part * WIDTH, width: WIDTH });
    return () => p.attention(view(q, 0), view(kv, 1), view(kv, 2), HEADS);
  };
  const picked = sampleRows(queries);
  const items = batch === 1 ? [0] : [0, batch - 1];
  return {
    op: "attention",
    layer,
    rows,
    shape: `${batch} x ${HEADS} heads of ${HEAD}, ${queries} queries, ${keys} keys`,
    form,
    activations,
    backend,
    kernel: ATTENTION[form].kernel,
    constants: ATTENTION[form].constants,
    record: record(keys),
    sample: items.flatMap((item) => picked.map((query) => item * queries + query)),
    expected: () =>
      inputs.once(`attention ${layer} ${batch} ${activations}`, async () => {
        const parts: number[] = [];
        for (const item of items) {
          const some = await stage.host(
            queryShape,
            picked.map((query) => (queryShape[0] === 1 ? 0 : item * queries) + query),
          );
          const all = await stage.host(
            [batch, keys, 3 * WIDTH],
            Array.from({ length: keys }, (_, key) => item * keys + key),
          );
          const view = (data: Float32Array, tokens: number, part: number) => ({
            data,
            tokens,
            stride: 3 * WIDTH,
            offset: part * WIDTH,
          });
          const [a, b, c] = [view(some, picked.length, 0), view(all, keys, 1), view(all, keys, 2)];
          for (const value of reference.attention(a, b, c, WIDTH, HEADS)) parts.push(value);
        }
        return Float64Array.from(parts);
      }),
    gate: gate(activations === "f16"),
    flops: 4 * rows * keys * WIDTH,
    bytes: (queryShape[0] * queries + 2 * batch * keys + rows) * WIDTH * bytesOf(activations),
    ceiling: ATTENTION[form].kernel === "attention_matrix" ? "matrix" : activations,
    half: batch === 1 && queries > 1 && (queries > 64 || allRows.at(-1)! <= 64) ? record(keys >> 1) : undefined,
  };
}
