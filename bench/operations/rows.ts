import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import * as reference from "../../test/judge/reference.ts";
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

const [PATCH, SIDE] = [14, 384];

/** Pictures cut into so400m's patches: whole ones, or a small square one where that makes as many rows. */
export async function* patchesTrials({ device, inputs, rows: fewer, more }: Plan): AsyncGenerator<Trial | Skip> {
  const backend = new WebGpuBackend(device);
  for (const rows of [...fewer, ...more]) {
    const most = Math.floor(SIDE / PATCH);
    const whole = rows % most ** 2 === 0;
    const grid = whole ? most : Math.sqrt(rows);
    if (!(Number.isInteger(grid) && grid < most + 1)) continue;
    const pictures = whole ? rows / most ** 2 : 1;
    const side = whole ? SIDE : grid * PATCH;
    const x = await inputs.tensor([pictures, 3, side, side], 7);
    const sample = sampleRows(rows);
    const depth = 3 * PATCH ** 2;
    const pixel = (row: number, d: number) => {
      const plane = Math.floor(row / grid ** 2) * 3 + Math.floor(d / PATCH ** 2);
      const y = (Math.floor(row / grid) % grid) * PATCH + (Math.floor(d / PATCH) % PATCH);
      return x.host[(plane * side + y) * side + (row % grid) * PATCH + (d % PATCH)];
    };
    yield {
      op: "patches",
      layer: "pixels",
      rows,
      shape: `${rows} x ${depth}`,
      form: "one",
      activations: "f32",
      backend,
      kernel: "patches",
      constants: {},
      prepare: async () => () => backend.patches(x.tensor, PATCH),
      sample,
      expected: async () =>
        Float64Array.from({ length: sample.length * depth }, (_, i) => pixel(sample[Math.floor(i / depth)], i % depth)),
      gate: 0,
      flops: 0,
      bytes: rows * depth * 8,
      ceiling: "copy",
    };
  }
  backend.dispose();
}
