import { mismatch } from "../support/error.ts";

/**
 * What `cutPatches` cuts: `count` pictures of `channels` planes of `height` x `width` values, into squares of `patch` x
 * `patch`.
 */
export interface PatchShape {
  readonly count: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly patch: number;
}

/**
 * Pixel values `[count, channels, height, width]` as patches `[count, rows * columns, channels * patch * patch]`, in
 * the order of `preprocessPatches`. Throws a SiglipError where `values` has another length.
 */
export function cutPatches(values: Float32Array, shape: PatchShape): Float32Array {
  const { count, channels, height, width, patch } = shape;
  const all = count * channels * height * width;
  if (values.length !== all) {
    const wanted = `[${count}, ${channels}, ${height}, ${width}], ${all} values`;
    throw mismatch("bad-input", "pixel values", wanted, `${values.length}`, "pass all of every picture");
  }
  const [rows, columns] = [height, width].map((side) => Math.floor(side / patch));
  const out = new Float32Array(count * rows * columns * channels * patch * patch);
  let to = 0;
  for (let picture = 0; picture < count; picture++) {
    for (let row = 0; row < rows * columns; row++) {
      const corner = Math.floor(row / columns) * patch * width + (row % columns) * patch;
      for (let c = 0; c < channels; c++) {
        let from = (picture * channels + c) * height * width + corner;
        for (let y = 0; y < patch; y++, from += width) {
          for (let x = 0; x < patch; x++) out[to++] = values[from + x];
        }
      }
    }
  }
  return out;
}
