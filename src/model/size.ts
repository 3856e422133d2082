import { mismatch } from "../support/error.ts";
import type { SiglipConfig } from "./config.ts";

/** Longest side that can be asked for, in pixels, and most patches along it. */
const MOST = 4096;
const MOST_PATCHES = 256;

/**
 * A model's configuration for pictures of another size. Its positions are then interpolated; rows and columns of pixels
 * that fill no patch are dropped. Throws a SiglipError for what is no size, and for NaFlex, which takes any.
 */
export function atSize(config: SiglipConfig, size: readonly [height: number, width: number]): SiglipConfig {
  const { vision, image } = config;
  const { patchSize } = vision;
  if (vision.naflex) {
    const found = "a NaFlex model, which keeps each picture's aspect ratio";
    throw mismatch(
      "unsupported",
      "size",
      "a model of one size",
      found,
      "leave it out and give `maxPatches` to the calls",
    );
  }
  const most = Math.min(MOST, MOST_PATCHES * patchSize);
  const sound = (side: unknown) => Number.isInteger(side) && (side as number) >= patchSize && (side as number) <= most;
  if (!(Array.isArray(size) && size.length === 2 && size.every(sound))) {
    const wanted = `[height, width], whole pixels from ${patchSize} to ${most}`;
    const found = String(JSON.stringify(size, (_, side) => (typeof side === "bigint" ? `${side}n` : side)));
    throw mismatch("bad-input", "size", wanted, found, "leave it out for the checkpoint's own");
  }
  const [height, width] = size;
  if (height === image.size[0] && width === image.size[1]) return config;
  const grid = [Math.floor(height / patchSize), Math.floor(width / patchSize)] as const;
  return {
    ...config,
    vision: { ...vision, grid, tokens: grid[0] * grid[1] },
    image: { ...image, size: [height, width] },
  };
}
