import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { asTyped, readHeader, readTensor } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import type { FlexiblePictures } from "../../src/image/naflex.ts";
import { parseConfig, type SiglipConfig } from "../../src/model/config.ts";
import { loadTowers, type Towers, type Values } from "../../src/model/towers.ts";
import { toFloat32 } from "../../src/support/numbers.ts";
import type { Backend } from "../../src/tensor/backend.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import { compare } from "./compare.ts";
import { syntheticSource } from "./synthetic.ts";

/** A golden case: the configuration, the inputs and what a float64 run of Hugging Face's model made of them. */
export interface Golden {
  readonly config: SiglipConfig;
  values(name: string): Promise<Values>;
  integers(name: string): Promise<number[]>;
}

/** A golden case from its folder's config.json and golden.safetensors. */
export async function readGolden(name: string, config: string, file: Uint8Array): Promise<Golden> {
  const source = bytesSource(file, `${name}/golden.safetensors`);
  const { tensors } = await readHeader(source);
  return {
    config: parseConfig(JSON.parse(config)),
    async values(tensor) {
      const info = tensors.get(tensor)!;
      return { data: toFloat32(await readTensor(source, info), "F32"), shape: info.shape };
    },
    async integers(tensor) {
      return Array.from(asTyped(await readTensor(source, tensors.get(tensor)!), "I64") as BigInt64Array, Number);
    },
  };
}

/** The cases of every run, smallest models with the traits of the large ones. */
export const TINY = ["tiny-giant", "tiny-hd64", "tiny-hd72", "tiny-ragged"] as const;

/** Pictures of four shapes in one batch. */
export const NAFLEX = "tiny-naflex";

/** Both towers of a golden case on a backend, with the case's synthetic weights, which must all find their use. */
export async function goldenTowers({ config }: Golden, backend: Backend, dtype: WeightDType): Promise<Towers> {
  const checkpoint = await Checkpoint.open([syntheticSource(config)]);
  const towers = await loadTowers(backend, checkpoint, config, { dtype, towers: ["image", "text"] });
  if (towers.unused.length > 0) throw new Error(`No tower has a use for ${towers.unused.join(", ")}.`);
  return towers;
}

/** What a case gives its image tower: pixel values, or of NaFlex patches and grids. */
async function pictures({ config, values, integers }: Golden): Promise<Float32Array | FlexiblePictures> {
  const { data } = await values("pixel_values");
  if (!config.vision.naflex) return data;
  const sides = await integers("spatial_shapes");
  const grids = Array.from({ length: sides.length / 2 }, (_, i) => [sides[2 * i], sides[2 * i + 1]] as const);
  return { patches: data, grids };
}

/** Relative errors of one run, by what was compared. */
export type Errors = Record<string, number>;

/**
 * Runs both towers on a golden case and compares every hidden state (with and without its massive channel), the pooled
 * outputs and the embeddings within `bound`, relative in norm, and the logits within 1e-3. Returns the errors found.
 */
export async function checkGolden(
  golden: Golden,
  towers: Towers,
  { bound, label }: { bound: number; label: string },
): Promise<Errors> {
  const errors: Errors = {};
  const hold = (what: string, actual: Float32Array, expected: Float32Array, shape: readonly number[]) => {
    errors[what] = compare(actual, expected, { shape, label: `${label} ${what}`, relative: bound }).relativeError;
  };

  const embeds: Record<"image" | "text", Float32Array> = { image: new Float32Array(), text: new Float32Array() };
  for (const tower of ["image", "text"] as const) {
    const prefix = tower === "image" ? "vision" : "text";
    const taps = new Map<string, Values>();
    const tap = (name: string, values: Values) => void taps.set(name, values);
    const pooled =
      tower === "image"
        ? await towers.image(await pictures(golden), { tap })
        : await towers.text(await golden.integers("input_ids"), { tap });
    const states = await golden.values(`${prefix}_hidden_states`);
    const tokens = await golden.integers(`${prefix}_tokens`);
    const [layers, batch, kept, hidden] = states.shape;
    const layerSize = batch * kept * hidden;
    const massive = Math.floor(hidden / 3);
    const holdStates = (name: string, layer: string, expected: Float32Array) => {
      const actual = pick(taps.get(name)!, tokens);
      hold(`${prefix} ${layer}`, actual, expected, [batch, kept, hidden]);
      const without = (data: Float32Array) => data.filter((_, index) => index % hidden !== massive);
      hold(`${prefix} ${layer} without the massive channel`, without(actual), without(expected), [
        batch,
        kept,
        hidden - 1,
      ]);
    };
    for (let layer = 0; layer < layers; layer++) {
      const expected = states.data.subarray(layer * layerSize, (layer + 1) * layerSize);
      holdStates(`hidden_states.${layer}`, `layer ${layer}`, expected);
    }
    if (tower === "image") {
      holdStates("last_hidden_state", "last", (await golden.values("vision_last_hidden_state")).data);
    }
    const expected = await golden.values(`${tower}_pooled`);
    hold(`${tower} pooled`, pooled.data, expected.data, expected.shape);
    embeds[tower] = normalised(pooled);
    hold(`${tower} embeds`, embeds[tower], (await golden.values(`${tower}_embeds`)).data, expected.shape);
  }

  const logits = await golden.values("logits_per_image");
  const [images, texts] = logits.shape;
  const width = embeds.image.length / images;
  errors.logits = 0;
  for (let i = 0; i < images * texts; i++) {
    const [image, text] = [Math.floor(i / texts) * width, (i % texts) * width];
    let dot = 0;
    for (let d = 0; d < width; d++) dot += embeds.image[image + d] * embeds.text[text + d];
    errors.logits = Math.max(errors.logits, Math.abs(dot * towers.scale + towers.bias - logits.data[i]));
  }
  if (!(errors.logits <= 1e-3)) throw new Error(`${label} logits: off by ${errors.logits}, at most 1e-3 allowed.`);
  return errors;
}

/** Bounds on 1 - cosine against float64 by how weights are stored: rounding alone costs 2.4e-7, 1.3e-4 and 0.03.
 * Of i8 the activations are rounded to 7 bits a group too, which is what its bound is for. */
export const COSINE_BOUND: Readonly<Record<WeightDType, number>> = {
  f32: 1e-10,
  f16: 2e-6,
  q8: 2e-4,
  i8: 1e-3,
  q4: 0.04,
};

/** The largest 1 - cosine between pooled outputs and the golden ones over the vectors of each tower. */
export async function cosineLoss(golden: Golden, towers: Towers): Promise<{ image: number; text: number }> {
  const image = await towers.image(await pictures(golden));
  const text = await towers.text(await golden.integers("input_ids"));
  return {
    image: worstCosine(image, await golden.values("image_pooled")),
    text: worstCosine(text, await golden.values("text_pooled")),
  };
}

/** `1 - cos` is |a/|a| - b/|b||² / 2, which unlike the difference from one keeps its digits when it is small. */
function worstCosine(actual: Values, expected: Values): number {
  const [rows, width] = expected.shape;
  const [a, b] = [normalised(actual), normalised(expected)];
  let worst = 0;
  for (let row = 0; row < rows; row++) {
    let squares = 0;
    for (let d = row * width; d < (row + 1) * width; d++) squares += (a[d] - b[d]) ** 2;
    // Not finite must not pass for small.
    worst = squares / 2 <= worst ? worst : squares / 2;
  }
  return worst;
}

/** The token rows that the golden file keeps: [batch, tokens, hidden] to [batch, kept, hidden]. */
function pick({ data, shape }: Values, tokens: readonly number[]): Float32Array {
  const [batch, count, hidden] = shape;
  const out = new Float32Array(batch * tokens.length * hidden);
  for (let item = 0; item < batch; item++) {
    for (const [slot, token] of tokens.entries()) {
      const from = (item * count + token) * hidden;
      out.set(data.subarray(from, from + hidden), (item * tokens.length + slot) * hidden);
    }
  }
  return out;
}

function normalised({ data, shape }: Values): Float32Array {
  const width = shape[1];
  const norms = Array.from({ length: shape[0] }, (_, row) =>
    Math.hypot(...data.subarray(row * width, (row + 1) * width)),
  );
  return data.map((value, index) => value / norms[Math.floor(index / width)]);
}
