import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/files/read-model.ts";
import type { SiglipConfig } from "../../src/model/config.ts";
import type { Tower, Towers, Values } from "../../src/model/towers.ts";
import { folderFiles } from "../../src/node/folder.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import { openGolden } from "../../test/harness/golden.ts";
import { syntheticSource } from "../../test/judge/synthetic.ts";

/** A model with inputs of which the embeddings are known. */
export interface Subject {
  readonly name: string;
  readonly config: SiglipConfig;
  /** Where the weights come from; made while they load, they make loading slower. */
  readonly source: "file" | "synthetic";
  open(): Promise<Checkpoint>;
  /** Makes the input of `batch` items, the golden ones over and over; what it returns runs the tower on it. */
  prepare(tower: Tower, batch: number): (towers: Towers) => Promise<Values>;
  /** The largest 1 - cosine between a row and its golden embedding. */
  distance(values: Values, tower: Tower): Promise<number>;
}

/**
 * The largest 1 - cosine allowed, by the precision of the weights: what the project promises against float64. Half precision
 * activations are within it.
 */
export const ALLOWED: Readonly<Record<WeightDType, number>> = { f32: 1e-10, f16: 2e-6, q8: 2e-4, i8: 1e-3, q4: 0.04 };

/** A golden case; its weights come from `folder` where one is given, which has to hold the same synthetic ones. */
export async function openSubject(name: string, folder: string | undefined): Promise<Subject> {
  const golden = await openGolden(name);
  const { config } = golden;
  const pixels = await golden.values("pixel_values");
  const ids = Float64Array.from(await golden.integers("input_ids"));
  return {
    name,
    config,
    source: folder ? "file" : "synthetic",
    open: async () => (folder ? openCheckpoint(await folderFiles(folder)) : Checkpoint.open([syntheticSource(config)])),
    prepare(tower, batch) {
      if (tower === "image") {
        const values = new Float32Array((pixels.data.length / pixels.shape[0]) * batch);
        repeat(pixels.data, values);
        return (towers) => towers.image(values);
      }
      const tokens = new Float64Array(config.text.positions * batch);
      repeat(ids, tokens);
      return (towers) => towers.text(tokens);
    },
    distance: async (values, tower) => farthest(values, await golden.values(`${tower}_embeds`)),
  };
}

/** The largest 1 - cosine between a row and the known one that it repeats. */
export function farthest(values: Values, { data, shape }: Values): number {
  const width = shape[1];
  let worst = 0;
  for (let row = 0; row < values.shape[0]; row++) {
    const known = row % shape[0];
    const found = apart(
      values.data.subarray(row * width, (row + 1) * width),
      data.subarray(known * width, (known + 1) * width),
    );
    // Negated, so that NaN stays.
    if (!(found <= worst)) worst = found;
  }
  return worst;
}

/** Fills `out` with the elements of `data` in turn. */
function repeat<A extends Float32Array | Float64Array>(data: A, out: A): void {
  for (let at = 0; at < out.length; at += data.length) out.set(data.subarray(0, out.length - at), at);
}

/** 1 - cosine, as half the squared distance of the unit vectors: no digits cancel. */
function apart(a: Float32Array, b: Float32Array): number {
  const [lengthA, lengthB] = [Math.hypot(...a), Math.hypot(...b)];
  return a.reduce((sum, value, i) => sum + (value / lengthA - b[i] / lengthB) ** 2, 0) / 2;
}
