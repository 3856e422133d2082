import { cutPatches } from "../image/cut-patches.ts";
import { type FlexiblePictures, type Grid, MOST_PATCHES } from "../image/naflex.ts";
import { mismatch } from "../support/error.ts";
import type { SiglipConfig } from "./config.ts";
import type { PreparedPictures } from "./towers.ts";

/**
 * What a caller of the image tower passes, checked and in patches: pixel values [n, 3, height, width], or of NaFlex
 * what Hugging Face's processor makes. Throws a SiglipError where the model takes the other, and for values that are
 * not finite.
 */
export function prepared(pictures: Float32Array | FlexiblePictures, { vision, image }: SiglipConfig): PreparedPictures {
  const { channels, patchSize: patch } = vision;
  const depth = channels * patch ** 2;
  if (vision.naflex) {
    checkFlexible(pictures, depth);
    return pictures.grids.length > 0 ? pictures : { patches: pictures.patches };
  }
  const [height, width] = image.size;
  const item = channels * height * width;
  checkPixels(pictures, item, image.size);
  const count = pictures.length / item;
  return { patches: cutPatches(pictures, { count, channels, height, width, patch }) };
}

function checkPixels(values: unknown, item: number, size: readonly number[]): asserts values is Float32Array {
  if (!(values instanceof Float32Array && values.length % item === 0)) {
    const wanted = `a Float32Array of [n, 3, ${size.join(", ")}], ${item} an image`;
    const found = values instanceof Float32Array ? `${values.length}` : "something else";
    throw mismatch("bad-input", "imageTower", wanted, found, "use the checkpoint's image size");
  }
  checkFinite(values);
}

function checkFlexible(pictures: Float32Array | FlexiblePictures, depth: number): asserts pictures is FlexiblePictures {
  const { patches, grids } = (pictures ?? {}) as Partial<FlexiblePictures>;
  if (!(patches instanceof Float32Array && Array.isArray(grids))) {
    const wanted = `{ patches, grids }, for the model takes pictures of any shape (NaFlex)`;
    throw mismatch("bad-input", "imageTower", wanted, "something else", "pass what Hugging Face's processor gives");
  }
  const most = patches.length / (depth * grids.length);
  if (!(Number.isInteger(most) && most >= 1 && most <= MOST_PATCHES) && (grids.length > 0 || patches.length > 0)) {
    const wanted = `patches of [${grids.length}, 1 to ${MOST_PATCHES}, ${depth}] for ${grids.length} grids`;
    throw mismatch("bad-input", "imageTower", wanted, `${patches.length} values`, "pad every picture with zeros");
  }
  const bad = grids.findIndex((grid) => !fits(grid, most));
  if (bad >= 0) {
    const wanted = `a grid [rows, columns] of 1 to ${most} patches for each picture`;
    throw mismatch("bad-input", "imageTower", wanted, `${show(grids[bad])} at ${bad}`, "check the grids");
  }
  checkFinite(patches);
}

function fits(grid: Grid | undefined, most: number): boolean {
  if (!Array.isArray(grid) || grid.length !== 2) return false;
  return grid.every((side) => Number.isInteger(side) && side >= 1) && grid[0] * grid[1] <= most;
}

/** As it would be written; of tensors of int64, as `spatial_shapes` is, numbers are bigints. */
function show(grid: unknown): string {
  return JSON.stringify(grid, (_, side) => (typeof side === "bigint" ? `${side}n` : side));
}

function checkFinite(values: Float32Array): void {
  // Zero, or NaN where a value is not finite; a search with a callback takes longer than a GPU does for the picture.
  let odd = 0;
  for (let i = 0; i < values.length; i++) odd += values[i] - values[i];
  if (odd === 0) return;
  const bad = values.findIndex((value) => !Number.isFinite(value));
  throw mismatch(
    "bad-input",
    "imageTower",
    "finite pixel values",
    `${values[bad]} at ${bad}`,
    "check the preprocessing",
  );
}
