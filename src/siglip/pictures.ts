import type { FlexiblePictures } from "../image/naflex.ts";
import { levels, preprocessPatches, resizeInSlices } from "../image/preprocess.ts";
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
  const { naflex, tokens, patchSize, channels } = config.vision;
  const stride = padded(channels * patchSize ** 2);
  const pixels = await platform.decode(image, { ...pictures, signal });
  if (naflex) {
    const { flexiblePatches } = await import("../image/naflex.ts");
    return flexiblePatches(pixels, config.image, { patch: patchSize, maxPatches, stride }, { resizeInSlices, levels });
  }
  const patches = new Float32Array(tokens * stride);
  await preprocessPatches(pixels, config.image, patchSize, patches, 0, stride);
  return { patches };
}

export async function checkMaxPatches({ image }: SiglipConfig, { maxPatches }: CallOptions): Promise<void> {
  if (maxPatches !== undefined) (await import("../image/naflex.ts")).checkMaxPatches(image, maxPatches);
}

/** Pictures in one batch, padded to the one that has most patches. */
export async function together(pictures: readonly PreparedPictures[]): Promise<PreparedPictures> {
  if (pictures[0].grids) return (await import("../image/naflex.ts")).joinFlexible(pictures as FlexiblePictures[]);
  return { patches: joinFloats(pictures.map(({ patches }) => patches)) };
}
