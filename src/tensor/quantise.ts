import { float32ToHalf, floatToHalf, halfToFloat } from "../support/numbers.ts";
import { notFinite, type PackedChunk, padRows, type RowChunk } from "./packing.ts";
import { GROUP, padded } from "./shape.ts";

/** Integer weights: `codes` times the group's scale (half precision bits). */
export interface Quantised {
  /** q8: -127..127; q4: -8..7. One for every weight. */
  readonly codes: Int8Array;
  /** One for every 32 weights. */
  readonly scales: Uint16Array<ArrayBuffer>;
}

/**
 * Rounds weights to 8 or 4 bits in groups of 32. 8 bits: the largest magnitude becomes 127. 4 bits: the largest magnitude
 * becomes about -8, whichever its sign, the scale being the one of four with the least squared error: two starting points,
 * each as it is and refitted to its codes. On the golden cases that leaves 1 - cosine at 0.026, plain rounding of the
 * largest value to 7 at 0.045; groups of 16 at 0.027 for half a bit more, of 64 at 0.035 (bench/groups.ts).
 * `values` holds whole groups of finite weights.
 */
export function quantise(values: Float32Array, dtype: "q8" | "q4"): Quantised {
  const codes = new Int8Array(values.length);
  const scales = new Uint16Array(values.length / GROUP);
  for (let group = 0; group < scales.length; group++) {
    const from = group * GROUP;
    let top = 0;
    for (let i = from; i < from + GROUP; i++) if (Math.abs(values[i]) > Math.abs(top)) top = values[i];
    const scale = dtype === "q8" ? toHalf(Math.abs(top) / 127) : bestScale(values, from, top);
    scales[group] = floatToHalf(scale);
    if (scale === 0) continue;
    const [low, high] = dtype === "q8" ? [-127, 127] : [-8, 7];
    const inverse = 1 / scale;
    for (let i = from; i < from + GROUP; i++) codes[i] = nearest(values[i] * inverse, low, high);
  }
  return { codes, scales };
}

/** The largest finite half stands in for what is beyond it. */
function toHalf(scale: number): number {
  return halfToFloat(floatToHalf(Math.max(-65504, Math.min(65504, scale))));
}

/** The nearest integer within bounds. Truncating what is certainly positive is several times as fast as Math.round. */
function nearest(value: number, low: number, high: number): number {
  return value <= low ? low : value >= high ? high : ((value + 128.5) | 0) - 128;
}

function bestScale(values: Float32Array, from: number, top: number): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let start = 0; start < 2; start++) {
    let scale = toHalf((top / -8) * (start === 0 ? 0.8 : 0.95));
    for (let round = 0; round < 2 && scale !== 0; round++) {
      const inverse = 1 / scale;
      let error = 0;
      let products = 0;
      let squares = 0;
      for (let i = from; i < from + GROUP; i++) {
        const value = values[i];
        const code = nearest(value * inverse, -8, 7);
        const difference = value - code * scale;
        error += difference * difference;
        products += code * value;
        squares += code * code;
      }
      if (error < least) {
        best = scale;
        least = error;
      }
      scale = toHalf(products / squares);
    }
  }
  return best;
}

/**
 * Rows of `width` floats in the precision that a backend would store them in, to be given to its `weight` later. Throws a
 * SiglipError, which begins with `name`, for a weight that is not finite.
 */
export function packRows(values: Float32Array, width: number, dtype: "f16" | "q8" | "q4", name = "A weight"): RowChunk {
  let odd = 0;
  for (let i = 0; i < values.length; i++) odd += values[i] - values[i]; // NaN where a value is not finite
  if (odd !== 0) throw notFinite(name);
  const rows = values.length / width;
  if (dtype === "f16") return { dtype: "F16", rows, bytes: new Uint8Array(float32ToHalf(values).buffer) };
  const { codes, scales: halves } = quantise(padRows(values, width, padded(width)), dtype);
  const scales = new Uint8Array(halves.buffer);
  if (dtype === "q8") return { dtype: "Q8", rows, bytes: new Uint8Array(codes.buffer), scales };
  const bytes = new Uint8Array(codes.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (codes[2 * i] + 8) | ((codes[2 * i + 1] + 8) << 4);
  return { dtype: "Q4", rows, bytes, scales };
}

/** The weights of packed rows of `width`, row-major without padding. */
export function unpackRows({ dtype, rows, bytes, scales }: PackedChunk, width: number): Float32Array {
  const stride = padded(width);
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) {
      const at = row * stride + k;
      const group = 2 * Math.floor(at / GROUP);
      const code = dtype === "Q8" ? (bytes[at] << 24) >> 24 : ((bytes[at >> 1] >> (at % 2 === 0 ? 0 : 4)) & 15) - 8;
      out[row * width + k] = code * halfToFloat(scales[group] | (scales[group + 1] << 8));
    }
  }
  return out;
}
