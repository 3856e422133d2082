import { flexiblePatches, type Grid } from "./naflex.ts";
import type { Pixels } from "./pixels.ts";
import { type ImageProcessing, preprocessPatches, resizeInSlices, type Scale } from "./preprocess.ts";

/** How a picture becomes what an image tower takes; plain data, which threads can be given. */
export interface Recipe {
  /** What the checkpoint says of pictures. */
  readonly processing: ImageProcessing;
  /** Side of a patch, in pixels. */
  readonly patch: number;
  /** Values from one patch to the next: `3 * patch * patch` at least. */
  readonly stride: number;
  /** Of NaFlex alone: the most patches, where it is not the checkpoint's own number. */
  readonly maxPatches?: number;
}

/** A picture as an image tower takes it. */
export interface Patches {
  /** A row of `stride` values for each patch, the top left one first. */
  readonly patches: Float32Array;
  /** Of NaFlex alone. */
  readonly grids?: readonly Grid[];
}

/** A picture resized, normalised and cut as the recipe says; by default it gives way to the event loop. */
export async function toPatches(pixels: Pixels, recipe: Recipe, scale: Scale = resizeInSlices): Promise<Patches> {
  const { processing, patch, stride } = recipe;
  if (processing.maxPatches) return flexiblePatches(pixels, processing, recipe, scale);
  return { patches: await preprocessPatches(pixels, processing, patch, stride, scale) };
}
