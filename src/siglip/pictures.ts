import { checkMaxPatches as checkPatches, type FlexiblePictures, joinFlexible } from "../image/naflex.ts";
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
  const options = { signal, ...pictures };
  if (platform.prepare) return platform.prepare(image, recipe, options);
  return toPatches(await platform.decode(image, options), recipe);
}

/** Throws a SiglipError for a number of patches that a model does not take. */
export function checkMaxPatches({ image }: SiglipConfig, { maxPatches }: CallOptions): void {
  if (maxPatches !== undefined) checkPatches(image, maxPatches);
}

/** Pictures in one batch, padded to the one that has most patches. */
export function together(pictures: readonly PreparedPictures[]): PreparedPictures {
  if (pictures[0].grids) return joinFlexible(pictures as FlexiblePictures[]);
  return { patches: joinFloats(pictures.map(({ patches }) => patches)) };
}
