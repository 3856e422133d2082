import { mismatch } from "../support/error.ts";
import type { Pixels } from "./pixels.ts";
import { type ImageProcessing, levels, resizeInSlices, type Scale } from "./preprocess.ts";

/** Patches of a picture: how many one under the other, and side by side. */
export type Grid = readonly [rows: number, columns: number];

/** Pictures of several shapes as the image tower takes them. */
export interface FlexiblePictures {
  /**
   * The patches of each picture, the top left one first, every one in (row, column, channel) order; behind a picture's
   * own, zeros. `[n, most, 3 patch patch]`; `most` follows from the length.
   */
  readonly patches: Float32Array;
  /** Of each picture; `rows * columns` of its patches count. */
  readonly grids: readonly Grid[];
}

/** Most patches of a picture that can be asked for. */
export const MOST_PATCHES = 4096;

/** As long as the interval is longer, it is halved. */
const EPSILON = 1e-5;

/**
 * The grid of a picture: the largest that keeps its aspect ratio within `maxPatches`, every side rounded up to whole
 * patches. The search is that of Hugging Face's `get_image_size_for_max_num_patches`, step by step.
 */
export function gridOf(height: number, width: number, patch: number, maxPatches: number): Grid {
  const along = (side: number, scale: number) => Math.max(1, Math.ceil((side * scale) / patch));
  let least = EPSILON / 10;
  let most = 100;
  while (most - least >= EPSILON) {
    const scale = (least + most) / 2;
    if (along(height, scale) * along(width, scale) <= maxPatches) least = scale;
    else most = scale;
  }
  return [along(height, least), along(width, least)];
}

/** How pictures become patches. */
export interface FlexibleShape {
  /** Side of a patch, in pixels. */
  readonly patch: number;
  /** Of a picture; the checkpoint's own by default. */
  readonly maxPatches?: number;
  /** Values from one row to the next: `3 * patch * patch` at least. */
  readonly stride: number;
}

/** Throws a SiglipError for a `maxPatches` out of range and for a model that is no NaFlex one. */
export function checkMaxPatches(p: ImageProcessing, maxPatches: number): void {
  if (p.maxPatches === undefined) {
    const found = "one that takes pictures of one size";
    throw mismatch("bad-input", "maxPatches", "a NaFlex model", found, "leave it out or load with `size`");
  }
  if (!(Number.isInteger(maxPatches) && maxPatches >= 1 && maxPatches <= MOST_PATCHES)) {
    const wanted = `a whole number from 1 to ${MOST_PATCHES}`;
    throw mismatch("bad-input", "maxPatches", wanted, `${maxPatches}`, "leave it out for the checkpoint's own");
  }
}

/** A picture scaled to at most `maxPatches` patches, normalised and cut; rows begin `stride` values after one another. */
export async function flexiblePatches(
  picture: Pixels,
  p: ImageProcessing,
  { patch, maxPatches = p.maxPatches!, stride }: FlexibleShape,
  scale: Scale = resizeInSlices,
): Promise<FlexiblePictures> {
  const grid = gridOf(picture.height, picture.width, patch, maxPatches);
  const { data } = await scale(picture, [grid[0] * patch, grid[1] * patch], p.resample);
  const patches = new Float32Array(grid[0] * grid[1] * stride);
  const level = [0, 1, 2].map((channel) => levels(p, channel));
  cut(data, grid, patch, level, patches, stride);
  return { patches, grids: [grid] };
}

/** Pictures of one each as a batch, padded with zeros to the one that has most patches. */
export function joinFlexible(pictures: readonly FlexiblePictures[]): FlexiblePictures {
  const most = Math.max(...pictures.map(({ patches }) => patches.length));
  const patches = new Float32Array(pictures.length * most);
  for (const [index, one] of pictures.entries()) patches.set(one.patches, index * most);
  return { patches, grids: pictures.flatMap(({ grids }) => grids) };
}

function cut(
  data: Uint8Array,
  [rows, columns]: Grid,
  patch: number,
  level: readonly Float32Array[],
  out: Float32Array,
  stride: number,
): void {
  const run = 3 * patch;
  for (let i = 0; i < rows * columns; i++) {
    const corner = Math.floor(i / columns) * patch * columns * run + (i % columns) * run;
    for (let y = 0; y < patch; y++) {
      const from = corner + y * columns * run;
      const to = i * stride + y * run;
      for (let x = 0; x < run; x++) out[to + x] = level[x % 3][data[from + x]];
    }
  }
}
