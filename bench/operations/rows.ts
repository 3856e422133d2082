import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import * as reference from "../../test/reference.ts";
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
    const backend = new WebGpuBackend(device, { activations });
    const [weight, bias] = [await inputs.tensor([WIDTH], 1), await inputs.tensor([WIDTH], 2)];
    const norm = { weight: weight.tensor, bias: bias.tensor, eps: 1e-6 };
    for (const rows of [...fewer, ...more]) {
      // The residual stream is float32.
      const x = await inputs.activation("f32", [rows, WIDTH]);
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
        prepare: async () => () => backend.layerNorm(x.tensor, norm),
        sample,
        expected: async () => reference.layerNorm(await x.host(sample), weight.host, bias.host, 1e-6),
        gate: gate(activations === "f16"),
        flops: 8 * rows * WIDTH,
        bytes: rows * WIDTH * (4 + bytesOf(activations)),
        ceiling: "copy",
      };
    }
    backend.dispose();
  }
}

/** Picking rows: the pooled token of every text. */
export async function* rowsTrials({
  device,
  inputs,
  rows: fewer,
  more,
  activations: kinds,
}: Plan): AsyncGenerator<Trial | Skip> {
  for (const activations of kinds) {
    const skipped = missing(device, activations);
    if (skipped) {
      yield { op: "rows", form: "one", activations, skipped };
      continue;
    }
    const backend = new WebGpuBackend(device, { activations });
    for (const rows of [...fewer, ...more]) {
      const x = await inputs.activation(activations, [rows, WIDTH]);
      const reversed = Array.from({ length: rows }, (_, row) => rows - 1 - row);
      const sample = sampleRows(rows);
      yield {
        op: "rows",
        layer: "pooling",
        rows,
        shape: `${rows} x ${WIDTH}`,
        form: "one",
        activations,
        backend,
        kernel: "rows",
        constants: {},
        prepare: async () => () => backend.rows(x.tensor, reversed),
        sample,
        expected: async () => Float64Array.from(await x.host(sample.map((row) => reversed[row]))),
        gate: 0,
        flops: 0,
        bytes: rows * WIDTH * 2 * bytesOf(activations),
        ceiling: "copy",
      };
    }
    backend.dispose();
  }
}
