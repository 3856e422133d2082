import type { Grid } from "../image/naflex.ts";
import type { SiglipConfig } from "../model/config.ts";
import type { PreparedPictures, Towers, Values } from "../model/towers.ts";
import { mismatch } from "../support/error.ts";
import { joinFloats } from "../support/numbers.ts";
import type { LoadedModel } from "./loaded.ts";
import { noList } from "./option-advice.ts";
import { checkOptions } from "./options.ts";
import { checkMaxPatches, prepare, together } from "./pictures.ts";

/** What a picture's patches have become, as they lie in the pictures. */
export interface Features {
  /** Row-major. */
  readonly data: Float32Array;
  /** [n, rows, columns, hidden], of `poolAttention` [n, heads, rows, columns]. */
  readonly shape: readonly number[];
}

/** Options of `features` and `poolAttention`. */
export interface FeaturesOptions {
  /**
   * Which tokens, as Hugging Face numbers hidden states: 0 is the embedding, N what the last of N blocks gives, -1 the
   * same, -2 what LLaVA reads. By default what the last block gives after the last norm. Blocks beyond are not
   * computed.
   */
  readonly layer?: number;
  /** How many go through the tower together; by default what suits the backend. */
  readonly batch?: number;
  /** Of a NaFlex model: the most patches of a picture, 1 to 4096; by default what the checkpoint says. */
  readonly maxPatches?: number;
  /** Rejects the call with its reason. */
  readonly signal?: AbortSignal;
}

/** The names of options that all calls know. */
const OPTIONS = ["batch", "maxPatches", "signal"] as const satisfies (keyof FeaturesOptions)[];

/**
 * Tokens [n, rows, columns, hidden]. Throws a SiglipError for a layer that is none, and for NaFlex pictures of several
 * grids.
 */
export async function features<Image>(
  model: LoadedModel<Image>,
  images: readonly Image[],
  options: FeaturesOptions,
): Promise<Features> {
  checkOptions("features", options, ["layer", ...OPTIONS]);
  const { layer, signal } = options;
  const { layers, hidden } = model.config.vision;
  if (layer !== undefined && !(Number.isInteger(layer) && layer >= -layers - 1 && layer <= layers)) {
    const wanted = `a whole number from ${-layers - 1} to ${layers}`;
    throw mismatch("bad-input", "layer", wanted, `${layer}`, "leave it out for the last one after the norm");
  }
  const counted = layer !== undefined && layer < 0 ? layer + layers + 1 : layer;
  const parts: Float32Array[] = [];
  const tower = await model.towers.parts();
  const grid = await eachBatch(model, "features", images, options, async (pictures) => {
    parts.push((await tower.features(pictures, counted, { signal })).data);
  });
  return { data: joinFloats(parts), shape: [images.length, ...grid, hidden] };
}

/**
 * What the MAP head's query attends to, [n, heads, rows, columns]: of a picture and head the weights add up to 1.
 * Throws a SiglipError where the tower has no such head, and for NaFlex pictures of several grids.
 */
export async function poolAttention<Image>(
  model: LoadedModel<Image>,
  images: readonly Image[],
  options: FeaturesOptions,
): Promise<Features> {
  checkOptions("poolAttention", options, OPTIONS);
  const { heads, hidden } = model.config.vision;
  const parts: Float32Array[] = [];
  const grid = await eachBatch(model, "poolAttention", images, options, async (pictures, [rows, columns]) => {
    const { query, keys } = await probed(model, pictures, options.signal);
    for (let at = 0; at < keys.length; at += rows * columns * 2 * hidden) {
      parts.push(attention(query, keys.subarray(at, at + rows * columns * 2 * hidden), heads));
    }
  });
  return { data: joinFloats(parts), shape: [images.length, heads, ...grid] };
}

/** The MAP head's query [hidden], and its keys and values [n, tokens, 2 hidden] of pictures. */
export async function probed(
  { config, towers }: { readonly config: SiglipConfig; readonly towers: Towers },
  pictures: PreparedPictures,
  signal?: AbortSignal,
): Promise<{ query: Float32Array; keys: Float32Array }> {
  const { head, hidden } = config.vision;
  if (!head) {
    const advice = "use another checkpoint, or `features`";
    throw mismatch("unsupported", "pooling", "a tower with a MAP head", "one that ends in its tokens", advice);
  }
  let query = new Float32Array();
  const tap = (_name: string, { data }: Values) => {
    query = data.slice(0, hidden);
  };
  const { data: keys } = await (await towers.parts()).probe(pictures, { signal, tap });
  return { query, keys };
}

/** Softmax of a query [hidden] over one picture's keys and values [tokens, 2 hidden]: [heads, tokens]. */
export function attention(query: Float32Array, keys: Float32Array, heads: number): Float32Array {
  const hidden = query.length;
  const [tokens, width] = [keys.length / (2 * hidden), hidden / heads];
  const out = new Float32Array(heads * tokens);
  for (let head = 0; head < heads; head++) {
    const scores = Array.from({ length: tokens }, (_, token) => {
      let dot = 0;
      for (let d = head * width; d < (head + 1) * width; d++) dot += query[d] * keys[token * 2 * hidden + d];
      return dot / Math.sqrt(width);
    });
    const top = scores.reduce((most, score) => Math.max(most, score));
    const weights = scores.map((score) => Math.exp(score - top));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (let token = 0; token < tokens; token++) out[head * tokens + token] = weights[token] / total;
  }
  return out;
}

/** Runs pictures in batches; returns the grid that all of them have. */
async function eachBatch<Image>(
  model: LoadedModel<Image>,
  call: string,
  images: readonly Image[],
  options: FeaturesOptions,
  run: (pictures: PreparedPictures, grid: Grid) => Promise<void>,
): Promise<Grid> {
  const { config, backend } = model;
  const { batch = backend.defaults.images } = options;
  if (!Array.isArray(images)) throw noList(call, images);
  checkMaxPatches(config, options);
  if (!(Number.isInteger(batch) && batch >= 1)) {
    throw mismatch("bad-input", "batch", "a whole number from 1", `${batch}`, "leave it out for the default");
  }
  const { patchSize } = config.vision;
  const [height, width] = config.image.size;
  let grid: Grid = [Math.floor(height / patchSize), Math.floor(width / patchSize)];
  let known = config.image.maxPatches === undefined;
  for (let from = 0; from < images.length; from += batch) {
    const prepared: PreparedPictures[] = [];
    for (const image of images.slice(from, from + batch)) prepared.push(await prepare(model, image, options));
    const pictures = together(prepared);
    for (const own of pictures.grids ?? []) {
      if (known && own.join() !== grid.join()) {
        const wanted = `pictures of one grid, as the first's of ${grid.join(" x ")} patches`;
        throw mismatch("bad-input", "pictures", wanted, own.join(" x "), "pass pictures of another shape apart");
      }
      [grid, known] = [own, true];
    }
    await run(pictures, grid);
  }
  return grid;
}
