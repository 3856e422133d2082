import type { Grid } from "../image/naflex.ts";
import type { ClassifierOptions } from "./classifier.ts";
import type { Embeddings } from "./embeddings.ts";
import { attention, type FeatureSource, probed } from "./features.ts";

/** Where in a picture a label is. */
export interface HeatMap {
  /** As it was given. */
  readonly label: string;
  /** The label's logit for the whole picture. */
  readonly logit: number;
  /** For each patch by how much that logit falls where the patch and its neighbours are left out; row-major. */
  readonly data: Float32Array;
  /** Patches one under the other and side by side. */
  readonly shape: readonly [rows: number, columns: number];
  /** The patch where it falls most. */
  readonly hottest: readonly [row: number, column: number];
}

/** Options of `locate`. */
export interface LocateOptions extends ClassifierOptions {
  /** Of a NaFlex model: the most patches of the picture, 1 to 4096; by default what the checkpoint says. */
  readonly maxPatches?: number;
}

/** Labels that have been embedded. */
export interface EmbeddedLabels {
  readonly labels: readonly string[];
  readonly texts: Embeddings;
}

/** A window's side as a share of the grid's shorter one. */
const SHARE = 1 / 4;

/**
 * A heat map for each label. Windows of patches are hidden one after another from the MAP head, and what a label's
 * logit loses by that is the heat of the window's patches, averaged over all windows that a patch is in. [Zeiler and
 * Fergus 2014, arXiv 1311.2901, who hide parts of the picture.] The tokens are computed once: to leave some out of a
 * softmax over values is to subtract their share. A MAP head draws on few tokens of a thing, so that this finds it
 * better than what each token says by itself does [as Zhou et al. 2022, arXiv 2112.01071, have it for CLIP].
 */
export async function locate<Image>(
  source: FeatureSource<Image>,
  model: { classifier(labels: string | readonly string[], options: ClassifierOptions): Promise<EmbeddedLabels> },
  image: Image,
  wanted: string | readonly string[],
  options: LocateOptions,
): Promise<HeatMap[]> {
  const { config, towers } = source;
  const { signal } = options;
  const { maxPatches: _, ...others } = options;
  const { labels, texts } = await model.classifier(wanted, others);
  await source.checkMaxPatches(config, options);
  const pictures = await source.prepare(image);
  const { patchSize, heads, hidden } = config.vision;
  const [height, width] = config.image.size;
  const grid = pictures.grids?.[0] ?? ([Math.floor(height / patchSize), Math.floor(width / patchSize)] as const);
  const { query, keys } = await probed(source, pictures, signal);
  const windows = windowsOf(grid);
  const { data } = await (await towers.parts()).pool(without([[], ...windows], query, keys, heads), { signal });
  return labels.map((label, index) => {
    const text = texts.data.subarray(index * hidden, (index + 1) * hidden);
    const logits = Array.from({ length: windows.length + 1 }, (_, window) => {
      const pooled = data.subarray(window * hidden, (window + 1) * hidden);
      return cosine(pooled, text) * towers.scale + towers.bias;
    });
    return { label, logit: logits[0], shape: grid, ...heatOf(grid, windows, logits) };
  });
}

/** The patches of every window that lies within the grid. */
function windowsOf([rows, columns]: Grid): number[][] {
  const side = Math.max(1, Math.round(Math.min(rows, columns) * SHARE));
  const windows: number[][] = [];
  for (let top = 0; top + side <= rows; top++) {
    for (let left = 0; left + side <= columns; left++) {
      const inside = (_: unknown, i: number) => (top + Math.floor(i / side)) * columns + left + (i % side);
      windows.push(Array.from({ length: side * side }, inside));
    }
  }
  return windows;
}

/** What the query attends to without each of these sets of tokens: [sets, hidden]. */
function without(
  sets: readonly (readonly number[])[],
  query: Float32Array,
  keys: Float32Array,
  heads: number,
): Float32Array {
  const hidden = query.length;
  const tokens = keys.length / (2 * hidden);
  const weights = attention(query, keys, heads);
  const out = new Float32Array(sets.length * hidden);
  for (let d = 0; d < hidden; d++) {
    const head = Math.floor((d * heads) / hidden) * tokens;
    const value = (token: number) => keys[(token * 2 + 1) * hidden + d];
    let whole = 0;
    for (let token = 0; token < tokens; token++) whole += weights[head + token] * value(token);
    for (const [index, set] of sets.entries()) {
      let [sum, rest] = [whole, 1];
      for (const token of set) {
        sum -= weights[head + token] * value(token);
        rest -= weights[head + token];
      }
      // A head that attends to nothing else is left with what the weights' rounding leaves.
      out[index * hidden + d] = sum / Math.max(rest, 1e-3);
    }
  }
  return out;
}

function heatOf([rows, columns]: Grid, windows: readonly number[][], [whole, ...logits]: readonly number[]) {
  const data = new Float32Array(rows * columns);
  const counts = new Uint32Array(rows * columns);
  for (const [index, window] of windows.entries()) {
    for (const patch of window) {
      data[patch] += whole - logits[index];
      counts[patch]++;
    }
  }
  for (let patch = 0; patch < data.length; patch++) data[patch] /= counts[patch];
  const best = data.indexOf(data.reduce((most, heat) => Math.max(most, heat)));
  return { data, hottest: [Math.floor(best / columns), best % columns] as const };
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, squares] = [0, 0];
  for (let d = 0; d < a.length; d++) {
    dot += a[d] * b[d];
    squares += a[d] * a[d];
  }
  return dot / Math.sqrt(squares);
}
