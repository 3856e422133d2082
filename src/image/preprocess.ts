import { mismatch } from "../support/error.ts";
import { Slice } from "../support/slices.ts";
import type { Pixels } from "./pixels.ts";
import { type Filter, resize, resizeSteps } from "./resize.ts";

/** What `preprocessor_config.json` says of pictures: squashed to a square, then (x * rescale - mean) / std by channel. */
export interface ImageProcessing {
  /** Side of the square, in pixels. */
  readonly size: number;
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
 * A picture squashed to the square and normalised: `[3, size, size]`. The arithmetic is that of Hugging Face's PIL processor
 * (`image_transforms.rescale` in float64 rounded to float32, `normalize` in float32), so the values agree with it to the bit.
 */
export function pixelValues(pixels: Pixels, p: ImageProcessing): Float32Array {
  return normalise(resize(pixels, p.size, p.size, p.resample), p);
}

/** `pixelValues` that gives way to the event loop while it scales a large picture, so that a page stays alive. */
export async function preprocess(pixels: Pixels, p: ImageProcessing): Promise<Float32Array> {
  return normalise(await resizeInSlices(pixels, p), p);
}

/**
 * The same values cut into patches while they are normalised: from index `at` of `out`, `grid * grid` rows (top left patch
 * first, `grid = floor(size / patch)`) of `3 * patch * patch` values in (channel, row, column) order, the order of a
 * convolution's weight; rows begin `stride` values after one another. The last `size % patch` rows and columns of the square are
 * dropped. Gives way to the event loop as `preprocess` does. Throws a SiglipError where `out` ends too soon.
 */
export async function preprocessPatches(
  pixels: Pixels,
  p: ImageProcessing,
  patch: number,
  out: Float32Array,
  at: number,
  stride = 3 * patch * patch,
): Promise<void> {
  const grid = Math.floor(p.size / patch);
  const length = grid * grid * stride;
  if (at + length > out.length) {
    throw mismatch(
      "bad-input",
      "patches",
      `room for ${length} values from ${at}`,
      `${out.length}`,
      "pass a longer array",
    );
  }
  const { data } = await resizeInSlices(pixels, p);
  const pitch = 3 * p.size;
  for (let c = 0; c < 3; c++) {
    const level = levels(p, c);
    for (let row = 0; row < grid * grid; row++) {
      let from = Math.floor(row / grid) * patch * pitch + (row % grid) * patch * 3 + c;
      let to = at + row * stride + c * patch * patch;
      for (let y = 0; y < patch; y++, from += pitch) {
        for (let i = from, end = to + patch; to < end; i += 3) out[to++] = level[data[i]];
      }
    }
  }
}

/** What `cutPatches` cuts: `count` pictures of `channels` planes of `size` x `size` values, into squares of `patch` x `patch`. */
export interface PatchShape {
  readonly count: number;
  readonly channels: number;
  readonly size: number;
  readonly patch: number;
}

/**
 * Pixel values `[count, channels, size, size]` as patches `[count, grid * grid, channels * patch * patch]`, in the order of
 * `preprocessPatches`. Throws a SiglipError where `values` has another length.
 */
export function cutPatches(values: Float32Array, { count, channels, size, patch }: PatchShape): Float32Array {
  if (values.length !== count * channels * size * size) {
    const wanted = `[${count}, ${channels}, ${size}, ${size}], ${count * channels * size * size} values`;
    throw mismatch("bad-input", "pixel values", wanted, `${values.length}`, "pass all of every picture");
  }
  const grid = Math.floor(size / patch);
  const out = new Float32Array(count * grid * grid * channels * patch * patch);
  let to = 0;
  for (let picture = 0; picture < count; picture++) {
    for (let row = 0; row < grid * grid; row++) {
      const corner = Math.floor(row / grid) * patch * size + (row % grid) * patch;
      for (let c = 0; c < channels; c++) {
        let from = (picture * channels + c) * size * size + corner;
        for (let y = 0; y < patch; y++, from += size) {
          for (let x = 0; x < patch; x++) out[to++] = values[from + x];
        }
      }
    }
  }
  return out;
}

async function resizeInSlices(pixels: Pixels, p: ImageProcessing): Promise<Pixels> {
  const steps = resizeSteps(pixels, p.size, p.size, p.resample);
  const slice = new Slice();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (slice.over) await slice.end();
  }
}

function normalise({ data }: Pixels, p: ImageProcessing): Float32Array {
  const area = p.size * p.size;
  const values = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++) {
    const level = levels(p, c);
    for (let i = 0; i < area; i++) values[c * area + i] = level[data[3 * i + c]];
  }
  return values;
}

/** What each of the 256 levels of a channel becomes. */
function levels({ rescale, mean, std }: ImageProcessing, channel: number): Float32Array {
  const offset = Math.fround(mean[channel]);
  const divisor = Math.fround(std[channel]);
  return Float32Array.from({ length: 256 }, (_, x) => Math.fround(Math.fround(x * rescale) - offset) / divisor);
}
