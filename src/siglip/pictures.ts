import type { FlexiblePictures } from "../image/naflex.ts";
import { toPatches } from "../image/patches.ts";
import type { SiglipConfig } from "../model/config.ts";
import type { PreparedPictures } from "../model/towers.ts";
import { joinFloats } from "../support/numbers.ts";
import { padded } from "../tensor/shape.ts";
import type { LoadedModel } from "./loaded.ts";

/** What a call may say of pictures. */
interface CallOptions {
  readonly maxPatches?: number;
  readonly signal?: AbortSignal;
}

/** A picture as the image tower takes it. */
export async function prepare<Image>(
  { config, pictures, platform }: LoadedModel<Image>,
  image: Image,
  { maxPatches, signal }: CallOptions,
): Promise<PreparedPictures> {
  const { patchSize: patch, channels } = config.vision;
  const recipe = { processing: config.image, patch, stride: padded(channels * patch ** 2), maxPatches };
  const options = { ...pictures, signal };
  if (platform.prepare) return platform.prepare(image, recipe, options);
  return toPatches(await platform.decode(image, options), recipe);
}

export async function checkMaxPatches({ image }: SiglipConfig, { maxPatches }: CallOptions): Promise<void> {
  if (maxPatches !== undefined) (await import("../image/naflex.ts")).checkMaxPatches(image, maxPatches);
}

/** Pictures in one batch, padded to the one that has most patches. */
export async function together(pictures: readonly PreparedPictures[]): Promise<PreparedPictures> {
  if (pictures[0].grids) return (await import("../image/naflex.ts")).joinFlexible(pictures as FlexiblePictures[]);
  return { patches: joinFloats(pictures.map(({ patches }) => patches)) };
}
