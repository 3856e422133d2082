import type { SiglipConfig } from "../../src/model/config.ts";
import type { Values } from "../../src/model/towers.ts";
import { openGolden } from "../../test/harness/golden.ts";
import { syntheticTensor } from "../../test/judge/synthetic.ts";

/** Pixel values [batch, 3, size, size], and the width of an embedding. */
export interface Pictures {
  readonly pixels: Float32Array;
  readonly shape: readonly number[];
  readonly width: number;
}

/**
 * A golden case's configuration, `batch` pictures (its `own`, over and over), and the embeddings of its own [pictures, width].
 */
export async function goldenInputs(name: string, batch?: number) {
  const golden = await openGolden(name);
  const { data, shape } = await golden.values("pixel_values");
  const embeddings = await golden.values("image_embeds");
  const count = batch ?? shape[0];
  if (count % shape[0] !== 0) {
    throw new Error(`wanted a batch that is a multiple of the ${shape[0]} pictures of ${name}, found ${count}`);
  }
  const pixels = new Float32Array((data.length / shape[0]) * count);
  for (let at = 0; at < pixels.length; at += data.length) pixels.set(data, at);
  const pictures: Pictures = { pixels, shape: [count, ...shape.slice(1)], width: embeddings.shape[1] };
  return { config: golden.config, pictures, embeddings, batch: count, own: shape[0] };
}

/** Rows of unit length. */
export function normalised(rows: Float32Array, width: number): Float32Array {
  const norms = Array.from({ length: rows.length / width }, (_, row) =>
    Math.hypot(...rows.subarray(row * width, (row + 1) * width)),
  );
  return rows.map((value, index) => value / norms[Math.floor(index / width)]);
}

/** [rows, columns] to [columns, rows]. */
export function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let c = 0; c < columns; c++) for (let r = 0; r < rows; r++) out[c * rows + r] = data[r * columns + c];
  return out;
}

/** One linear layer: y = x Wᵀ + b, x [rows, depth], weight [out, depth]. */
export interface Layer {
  readonly rows: number;
  readonly depth: number;
  readonly out: number;
  readonly x: Float32Array;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

/** The first layer of an MLP with the weights of the case's own, one picture's tokens (so400m-384: 729 x 1152 x 4304). */
export function layerInputs({ vision }: SiglipConfig): Layer {
  const { tokens: rows, hidden: depth, mlp: out } = vision;
  const name = "vision_model.encoder.layers.0.mlp.fc1";
  return {
    rows,
    depth,
    out,
    // The rule for a probe is mean 0, variance 1: what a layer norm gives.
    x: syntheticTensor("bench.peers.probe", [rows, depth]),
    weight: syntheticTensor(`${name}.weight`, [out, depth]),
    bias: syntheticTensor(`${name}.bias`, [out]),
  };
}

/** Every 13th row of a layer's result is checked: 13 has no factor in common with a tile, so all places in tiles are met. */
const STEP = 13;

/** Those rows of a result, of `width` columns. */
export function sampled(result: Float32Array, width: number): Float32Array {
  const rows = result.length / width;
  const out = new Float32Array(Math.ceil(rows / STEP) * width);
  for (let row = 0; row < rows; row += STEP) {
    out.set(result.subarray(row * width, (row + 1) * width), (row / STEP) * width);
  }
  return out;
}

/** Those rows in float64, by the definition. */
export function layerReference({ rows, depth, out, x, weight, bias }: Layer): Values {
  const count = Math.ceil(rows / STEP);
  const data = new Float32Array(count * out);
  for (let sample = 0; sample < count; sample++) {
    const row = x.subarray(sample * STEP * depth, (sample * STEP + 1) * depth);
    for (let o = 0; o < out; o++) {
      let sum = bias[o];
      for (let i = 0, w = o * depth; i < depth; i++, w++) sum += row[i] * weight[w];
      data[sample * out + o] = sum;
    }
  }
  return { data, shape: [count, out] };
}
