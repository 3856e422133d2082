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

/** How long a slice of `preprocess` may keep the thread, in milliseconds: below a frame. */
const SLICE = 12;

/** `pixelValues` that gives way to the event loop while it scales a large picture, so that a page stays alive. */
export async function preprocess(pixels: Pixels, p: ImageProcessing): Promise<Float32Array> {
  const steps = resizeSteps(pixels, p.size, p.size, p.resample);
  for (let began = performance.now(); ; ) {
    const step = steps.next();
    if (step.done) return normalise(step.value, p);
    if (performance.now() - began < SLICE) continue;
    await new Promise((resolve) => setTimeout(resolve));
    began = performance.now();
  }
}

function normalise({ data }: Pixels, p: ImageProcessing): Float32Array {
  const area = p.size * p.size;
  const values = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++) {
    const mean = Math.fround(p.mean[c]);
    const std = Math.fround(p.std[c]);
    const level = Float32Array.from({ length: 256 }, (_, x) => Math.fround(Math.fround(x * p.rescale) - mean) / std);
    for (let i = 0; i < area; i++) values[c * area + i] = level[data[3 * i + c]];
  }
  return values;
}
