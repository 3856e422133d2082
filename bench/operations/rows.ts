import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import * as reference from "../../test/judge/reference.ts";
import { Stage } from "./inputs.ts";
import { bytesOf, gate, missing, type Plan, type Skip, sampleRows, type Trial } from "./trial.ts";

const WIDTH = 1152;

/** Layer norm over so400m's features. */
export async function* layerNormTrials({
  device,
  inputs,
  rows: fewer,
  more,
  activations: kinds,
}: Plan): AsyncGenerator<Trial | Skip> {
  for (const activations of kinds) {
    const skipped = missing(device, activations);
    if (skipped) {
      yield { op: "layer_norm", form: "one", activations, skipped };
      continue;
    }
    for (const rows of [...fewer, ...more]) {
      const backend = new WebGpuBackend(device, { activations });
      const stage = new Stage(backend, inputs);
      const norm = { weight: stage.constant([WIDTH], 1), bias: stage.constant([WIDTH], 2), eps: 1e-6 };
      const sample = sampleRows(rows);
      yield {
        op: "layer_norm",
        layer: "norm",
        rows,
        shape: `${rows} x ${WIDTH}`,
        form: "one",
        activations,
        backend,
        kernel: "layer_norm",
        constants: {},
        // The residual stream is float32.
        record: (p) => () => p.layerNorm(stage.constant([rows, WIDTH], 8), norm),
        sample,
        expected: async () => {
          const x = inputs.values([rows, WIDTH], 8);
          const some = Float32Array.from(sample.flatMap((row) => [...x.subarray(row * WIDTH, (row + 1) * WIDTH)]));
          return reference.layerNorm(some, inputs.values([WIDTH], 1), inputs.values([WIDTH], 2), 1e-6);
        },
        gate: gate(activations === "f16"),
        flops: 8 * rows * WIDTH,
        bytes: rows * WIDTH * (4 + bytesOf(activations)),
        ceiling: "copy",
      };
      backend.dispose();
    }
  }
}
