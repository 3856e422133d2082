import { checkPixels, checkSize, type Pixels } from "./pixels.ts";

/** The two resampling filters SigLIP checkpoints ask for: Hugging Face's `resample` 2 and 3. */
export type Filter = "bilinear" | "bicubic";

/** Of the weights, which are integers. */
export const FRACTION_BITS = 22;
const HALF = 1 << (FRACTION_BITS - 1);
const SUPPORT = { bilinear: 1, bicubic: 2 };
const ROWS_A_STEP = 64;

/**
 * Scales a picture to `width` x `height`, equal to PIL's `Image.resize` to the bit (Pillow, src/libImaging/Resample.c): antialiased,
 * 22-bit fixed point, across then down with bytes between. The aspect ratio is not kept. Always a new picture.
 */
export function resize(pixels: Pixels, width: number, height: number, filter: Filter): Pixels {
  const steps = resizeSteps(pixels, width, height, filter);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** `resize` in slices: yields after every 64 rows of the source, so that a page can paint in between. */
export function* resizeSteps(
  pixels: Pixels,
  width: number,
  height: number,
  filter: Filter,
): Generator<undefined, Pixels> {
  checkPixels(pixels, "the picture to resize");
  checkSize(width, height, "the size to resize to");
  // PIL's Image.resize takes very tall pictures the other way round.
  if (pixels.height > 100 * pixels.width && height < pixels.height && width !== pixels.width) {
    pixels = yield* resizeSteps(pixels, pixels.width, height, filter);
  }
  const stride = 3 * width;
  const across = pixels.width === width ? undefined : weights(pixels.width, width, filter);
  const down = pixels.height === height ? undefined : weights(pixels.height, height, filter);
  const data = new Uint8Array(stride * height);
  // Every source row is scattered into the output rows that need it, so no picture of the size between the passes is ever held.
  const sums = new Int32Array(down ? data.length : 0).fill(HALF);
  const scaled = new Uint8Array(across ? stride : 0);
  let top = 0;
  for (let y = 0; y < pixels.height; y++) {
    if (y % ROWS_A_STEP === ROWS_A_STEP - 1) yield;
    if (down) {
      while (top < height && down.end[top] <= y) top++;
      if (top === height) break;
      if (down.start[top] > y) continue;
    }
    let row = pixels.data.subarray(3 * y * pixels.width, 3 * (y + 1) * pixels.width);
    if (across) {
      scaleRow(row, scaled, across);
      row = scaled;
    }
    if (!down) data.set(row, y * stride);
    else {
      for (let t = top; t < height && down.start[t] <= y; t++) {
        addRow(row, down.values[t * down.taps + y - down.start[t]], sums, t * stride);
      }
    }
  }
  for (let i = 0; i < sums.length; i++) data[i] = toByte(sums[i]);
  return { width, height, data };
}

/** For each output position, the source positions `start` to `end` (exclusive) and their fixed-point weights, `taps` apart in `values`. */
export interface FilterTaps {
  readonly taps: number;
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly values: Int32Array;
}

/** The weights that bring `from` positions to `to`. */
export function weights(from: number, to: number, filter: Filter): FilterTaps {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = SUPPORT[filter] * stretch;
  const taps = Math.ceil(support) * 2 + 1;
  const start = new Int32Array(to);
  const end = new Int32Array(to);
  const values = new Int32Array(to * taps);
  const exact = new Float64Array(taps);
  // The order of these operations is PIL's: another one changes last bits.
  for (let t = 0; t < to; t++) {
    const center = (t + 0.5) * scale;
    start[t] = Math.max(0, Math.trunc(center - support + 0.5));
    end[t] = Math.min(from, Math.trunc(center + support + 0.5));
    const count = end[t] - start[t];
    let total = 0;
    for (let i = 0; i < count; i++) {
      exact[i] = kernel(filter, (i + start[t] - center + 0.5) * (1 / stretch));
      total += exact[i];
    }
    for (let i = 0; i < count; i++) {
      const value = (total === 0 ? exact[i] : exact[i] / total) * (1 << FRACTION_BITS);
      values[t * taps + i] = Math.trunc(value < 0 ? value - 0.5 : value + 0.5);
    }
  }
  return { taps, start, end, values };
}

/** The filter at a distance: a triangle, or Keys' cubic convolution with a = -0.5. */
function kernel(filter: Filter, distance: number): number {
  const x = Math.abs(distance);
  if (filter === "bilinear") return x < 1 ? 1 - x : 0;
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

function scaleRow(row: Uint8Array, out: Uint8Array, { taps, start, end, values }: FilterTaps): void {
  for (let t = 0; t < start.length; t++) {
    let r = HALF;
    let g = HALF;
    let b = HALF;
    let w = t * taps;
    const stop = 3 * end[t];
    for (let i = 3 * start[t]; i < stop; i += 3) {
      const weight = values[w++];
      r = (r + Math.imul(weight, row[i])) | 0;
      g = (g + Math.imul(weight, row[i + 1])) | 0;
      b = (b + Math.imul(weight, row[i + 2])) | 0;
    }
    out[3 * t] = toByte(r);
    out[3 * t + 1] = toByte(g);
    out[3 * t + 2] = toByte(b);
  }
}

function addRow(row: Uint8Array, weight: number, sums: Int32Array, at: number): void {
  for (let i = 0; i < row.length; i++) sums[at + i] += Math.imul(weight, row[i]);
}

function toByte(sum: number): number {
  return Math.max(0, Math.min(255, sum >> FRACTION_BITS));
}
