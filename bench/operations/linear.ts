import { BITS } from "../../src/tensor/cost.ts";
import type { Recorder, StoredDType } from "../../src/tensor/program.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { LINEAR, type LinearName } from "../../src/tensor/webgpu/tiles.ts";
import * as reference from "../../test/judge/reference.ts";
import { Stage, type Storage } from "./inputs.ts";
import { bytesOf, gate, missing, type Plan, type Skip, sampleRows, type Trial } from "./trial.ts";

interface Layer {
  readonly name: string;
  readonly depth: number;
  readonly out: number;
  readonly gelu?: boolean;
  /** A residual or positions are added, and the result is float32 whatever the activations. */
  readonly add?: boolean;
}

/** The linear maps of so400m, with the epilogues that the towers give them. */
const LAYERS: readonly Layer[] = [
  { name: "patch", depth: 588, out: 1152, add: true },
  { name: "out", depth: 1152, out: 1152, add: true },
  { name: "qkv", depth: 1152, out: 3456 },
  { name: "fc1", depth: 1152, out: 4304, gelu: true },
  { name: "fc2", depth: 4304, out: 1152, add: true },
];

/** Every form of `linear` on every layer, precision and number of rows. */
export async function* linearTrials(plan: Plan): AsyncGenerator<Trial | Skip> {
  for (const activations of plan.activations) {
    for (const form of Object.keys(LINEAR) as LinearName[]) {
      if (plan.form && plan.form !== form) continue;
      const skipped = missing(plan.device, activations, LINEAR[form]);
      if (skipped) {
        yield { op: "linear", form, activations, skipped };
        continue;
      }
      for (const layer of LAYERS) {
        for (const weights of plan.weights) {
          const backend = new WebGpuBackend(plan.device, { linear: form, activations });
          const stage = new Stage(backend, plan.inputs);
          await stage.matrix(layer.out, layer.depth, weights);
          await stage.matrix(layer.out, layer.depth / 2, weights);
          await backend.loaded();
          const all = weights === "f16" ? [...plan.rows, ...plan.more] : plan.rows;
          for (const rows of all) yield trial(plan, stage, backend, form, layer, rows, weights, activations);
          backend.dispose();
        }
      }
    }
  }
}

function trial(
  { inputs, rows: allRows }: Plan,
  stage: Stage,
  backend: WebGpuBackend,
  form: LinearName,
  layer: Layer,
  rows: number,
  weights: StoredDType,
  activations: Storage,
): Trial {
  const { name, depth, out, gelu = false } = layer;
  const record = (k: number) => (p: Recorder) => {
    const x = stage.activation(p, [rows, k]);
    const weight = { name: `matrix ${out} ${k} ${weights}`, shape: [out, k], dtype: weights };
    const bias = stage.constant([out], 6);
    const add = layer.add ? stage.constant([rows, out], 7) : undefined;
    return () => p.linear(x, { weight, bias }, { gelu, add, exact: layer.add });
  };
  const sample = sampleRows(rows);
  const { kernel, constants } = LINEAR[form];
  const resultBytes = bytesOf(layer.add ? "f32" : activations);
  return {
    op: "linear",
    layer: name,
    rows,
    shape: `${rows} x ${depth} to ${out}`,
    form,
    weights,
    activations,
    backend,
    kernel,
    constants,
    record: record(depth),
    sample,
    expected: () =>
      inputs.once(`linear ${name} ${rows} ${weights} ${activations}`, async () => {
        const x = await stage.host([rows, depth], sample);
        const { stored } = inputs.matrix(out, depth, weights);
        const bias = inputs.values([out], 6);
        const all = layer.add ? inputs.values([rows, out], 7) : undefined;
        const add = all && Float32Array.from(sample.flatMap((row) => [...all.subarray(row * out, (row + 1) * out)]));
        return reference.linear(x, stored, bias, depth, { gelu, add });
      }),
    gate: gate(activations === "f16"),
    flops: 2 * rows * depth * out,
    bytes:
      rows * depth * bytesOf(activations) +
      (out * depth * BITS[weights]) / 8 +
      rows * out * (resultBytes + (layer.add ? 4 : 0)) +
      out * 4,
    ceiling: kernel === "linear_matrix" ? "matrix" : activations,
    half: name === "out" && rows === allRows.at(-1) && weights === "f16" ? record(depth / 2) : undefined,
  };
}
