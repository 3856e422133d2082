import type { Grid } from "../image/naflex.ts";
import type { ClassifierOptions } from "./classifier.ts";
import type { Embeddings } from "./embeddings.ts";
import { attention, probed } from "./features.ts";
import type { LoadedModel } from "./loaded.ts";
import { checkOptions } from "./options.ts";
import { checkMaxPatches, prepare } from "./pictures.ts";

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

/** The names of those options. */
const OPTIONS = ["templates", "maxPatches", "signal"] as const satisfies (keyof LocateOptions)[];

/** Labels that have been embedded. */
export interface EmbeddedLabels {
  readonly labels: readonly string[];
  readonly texts: Embeddings;
}

/** A window's side as a share of the grid's shorter one. */
const SHARE = 1 / 4;

/** The longest that the event loop waits, in milliseconds. */
const TURN = 15;

/**
 * A heat map for each label. Windows of patches are hidden one after another from the MAP head, and what a label's
 * logit loses by that is the heat of the window's patches, averaged over all windows that a patch is in. [Zeiler and
 * Fergus 2014, arXiv 1311.2901, who hide parts of the picture.] The tokens are computed once: to leave some out of a
 * softmax over values is to subtract their share. A MAP head draws on few tokens of a thing, so that this finds it
 * better than what each token says by itself does [as Zhou et al. 2022, arXiv 2112.01071, have it for CLIP].
 */
export async function locate<Image>(
  model: LoadedModel<Image>,
  embedder: { classifier(labels: string | readonly string[], options: ClassifierOptions): Promise<EmbeddedLabels> },
  image: Image,
  wanted: string | readonly string[],
  options: LocateOptions,
): Promise<HeatMap[]> {
  const { config, towers } = model;
  checkOptions("locate", options, OPTIONS);
  const { maxPatches: _, ...others } = options;
  const { signal } = options;
  const { labels, texts } = await embedder.classifier(wanted, others);
  checkMaxPatches(config, options);
  const pictures = await prepare(model, image, options);
  const { patchSize, heads, hidden } = config.vision;
  const [height, width] = config.image.size;
  const grid = pictures.grids?.[0] ?? ([Math.floor(height / patchSize), Math.floor(width / patchSize)] as const);
  const { query, keys } = await probed(model, pictures, signal);
  const windows = windowsOf(grid);
  const { data } = await (await towers.parts()).pool(await without(windows, grid, query, keys, heads, signal), {
    signal,
  });
  return labels.map((label, index) => {
    const text = texts.data.subarray(index * hidden, (index + 1) * hidden);
    const logits = Array.from({ length: windows.length + 1 }, (_, window) => {
      const pooled = data.subarray(window * hidden, (window + 1) * hidden);
      return cosine(pooled, text) * towers.scale + towers.bias;
    });
    return { label, logit: logits[0], shape: grid, ...heatOf(grid, windows, logits) };
  });
}

/** Patches that are left out together, and their ends. */
interface Window {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** Every window that lies within the grid; none where it would be all of the grid. */
function windowsOf([rows, columns]: Grid): Window[] {
  const side = Math.max(1, Math.round(Math.min(rows, columns) * SHARE));
  if (side === rows && side === columns) return [];
  const windows: Window[] = [];
  for (let top = 0; top + side <= rows; top++) {
    for (let left = 0; left + side <= columns; left++) {
      windows.push({ top, left, bottom: top + side, right: left + side });
    }
  }
  return windows;
}

/** What the query attends to, whole and without each of these windows: [1 + windows, hidden]. */
async function without(
  windows: readonly Window[],
  grid: Grid,
  query: Float32Array,
  keys: Float32Array,
  heads: number,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const hidden = query.length;
  const tokens = grid[0] * grid[1];
  const weights = attention(query, keys, heads);
  const rests = Array.from({ length: heads }, (_, head) => outside(grid, windows, (i) => weights[head * tokens + i]));
  const out = new Float32Array((1 + windows.length) * hidden);
  let turned = performance.now();
  for (let d = 0; d < hidden; d++) {
    const head = Math.floor((d * heads) / hidden);
    const rest = rests[head];
    const sums = outside(grid, windows, (i) => weights[head * tokens + i] * keys[(i * 2 + 1) * hidden + d]);
    // A head that attends to nothing else is left with what the weights' rounding leaves.
    for (let i = 0; i < sums.length; i++) out[i * hidden + d] = sums[i] / Math.max(rest[i], 1e-3);
    if (performance.now() - turned < TURN) continue;
    await new Promise((resolve) => setTimeout(resolve));
    signal?.throwIfAborted();
    turned = performance.now();
  }
  return out;
}

/** The sum of a grid's values, and what of it is outside each window, by a summed-area table [Crow 1984]. */
function outside([rows, columns]: Grid, windows: readonly Window[], value: (token: number) => number): Float64Array {
  const stride = columns + 1;
  const sums = new Float64Array((rows + 1) * stride);
  for (let row = 0, token = 0; row < rows; row++) {
    let along = 0;
    for (let column = 0; column < columns; column++, token++) {
      along += value(token);
      const at = (row + 1) * stride + column + 1;
      sums[at] = sums[at - stride] + along;
    }
  }
  const whole = sums[sums.length - 1];
  const out = new Float64Array(1 + windows.length).fill(whole);
  for (const [index, { top, left, bottom, right }] of windows.entries()) {
    const [above, below] = [top * stride, bottom * stride];
    out[index + 1] -= sums[below + right] - sums[above + right] - sums[below + left] + sums[above + left];
  }
  return out;
}

function heatOf([rows, columns]: Grid, windows: readonly Window[], [whole, ...logits]: readonly number[]) {
  const data = new Float32Array(rows * columns);
  const counts = new Uint32Array(rows * columns);
  for (const [index, { top, left, bottom, right }] of windows.entries()) {
    for (let row = top; row < bottom; row++) {
      for (let patch = row * columns + left; patch < row * columns + right; patch++) {
        data[patch] += whole - logits[index];
        counts[patch]++;
      }
    }
  }
  for (let patch = 0; patch < data.length; patch++) data[patch] /= Math.max(1, counts[patch]);
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
