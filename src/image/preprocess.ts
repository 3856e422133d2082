import { Slice } from "../support/slices.ts";
import type { Pixels } from "./pixels.ts";
import { type Filter, resize, resizeSteps } from "./resize.ts";

/**
 * What `preprocessor_config.json` says of pictures: squashed to one size, then (x * rescale - mean) / std by channel.
 */
export interface ImageProcessing {
  /**
   * In pixels; a square unless another was asked for. Of NaFlex, which keeps the aspect ratio, the one of the learned
   * positions.
   */
  readonly size: readonly [height: number, width: number];
  /** Of NaFlex alone: the most patches of a picture, unless a call says otherwise. */
  readonly maxPatches?: number;
  /** The filter of the resize. */
  readonly resample: Filter;
  /** What levels of 0 to 255 are multiplied by; 1/255 in published models. */
  readonly rescale: number;
  /** Of red, green and blue, subtracted. */
  readonly mean: readonly [number, number, number];
  /** Of red, green and blue, the divisors. */
  readonly std: readonly [number, number, number];
}

/**
 * A picture squashed to its size and normalised: `[3, height, width]`. The arithmetic is that of Hugging Face's PIL
 * processor (`image_transforms.rescale` in float64 rounded to float32, `normalize` in float32), so the values agree
 * with it to the bit.
 */
export function pixelValues(pixels: Pixels, p: ImageProcessing): Float32Array {
  return normalise(resize(pixels, p.size[1], p.size[0], p.resample), p);
}

/** `pixelValues` that gives way to the event loop while it scales a large picture, so that a page stays alive. */
export async function preprocess(pixels: Pixels, p: ImageProcessing): Promise<Float32Array> {
  return normalise(await resizeInSlices(pixels, p.size, p.resample), p);
}

/**
 * The same values cut into patches while they are normalised: a row for each whole patch, the top left one first, of
 * `3 * patch * patch` values in (channel, row, column) order, the order of a convolution's weight; rows begin `stride` values
 * after one another, and what lies between is zero. Rows and columns of pixels that fill no patch are dropped. Gives way to the
 * event loop as `preprocess` does.
 */
export async function preprocessPatches(
  pixels: Pixels,
  p: ImageProcessing,
  patch: number,
  stride = 3 * patch * patch,
  scale: Scale = resizeInSlices,
): Promise<Float32Array> {
  const [rows, columns] = p.size.map((side) => Math.floor(side / patch));
  const { data } = await scale(pixels, p.size, p.resample);
  const out = new Float32Array(rows * columns * stride);
  const pitch = 3 * p.size[1];
  for (let c = 0; c < 3; c++) {
    const level = levels(p, c);
    for (let row = 0; row < rows * columns; row++) {
      let from = Math.floor(row / columns) * patch * pitch + (row % columns) * patch * 3 + c;
      let to = row * stride + c * patch * patch;
      for (let y = 0; y < patch; y++, from += pitch) {
        for (let i = from, end = to + patch; to < end; i += 3) out[to++] = level[data[i]];
      }
    }
  }
  return out;
}

/** What gives the pictures that `resize` does. */
export type Scale = (
  pixels: Pixels,
  size: readonly [height: number, width: number],
  filter: Filter,
) => Pixels | Promise<Pixels>;

/** `resize` that gives way to the event loop. */
export async function resizeInSlices(
  pixels: Pixels,
  [height, width]: readonly [height: number, width: number],
  filter: Filter,
): Promise<Pixels> {
  const steps = resizeSteps(pixels, width, height, filter);
  const slice = new Slice();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (slice.over) await slice.end();
  }
}

function normalise({ data }: Pixels, p: ImageProcessing): Float32Array {
  const area = p.size[0] * p.size[1];
  const values = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++) {
    const level = levels(p, c);
    for (let i = 0; i < area; i++) values[c * area + i] = level[data[3 * i + c]];
  }
  return values;
}

/** What each of the 256 levels of a channel becomes. */
export function levels({ rescale, mean, std }: ImageProcessing, channel: number): Float32Array {
  const offset = Math.fround(mean[channel]);
  const divisor = Math.fround(std[channel]);
  return Float32Array.from({ length: 256 }, (_, x) => Math.fround(Math.fround(x * rescale) - offset) / divisor);
}
