import { mismatch } from "../support/error.ts";
import { checkPixels, checkSize, type Pixels } from "./pixels.ts";

/** What is to be shown over a picture: a value for each cell of a grid, row-major. */
export interface Heat {
  readonly data: Float32Array;
  readonly shape: readonly [rows: number, columns: number];
}

/** Of the hottest place, so that the picture can be seen below it. */
const OPACITY = 0.7;

/** Red, green and blue of what is warm and of what is hot. */
const WARM = [255, 196, 0];
const HOT = [255, 32, 0];

/**
 * Heat as RGBA, not premultiplied, that lies over a picture of `width` x `height`: between the cells' middles it goes over linearly; what is
 * not above zero is clear, and the hottest cell is red. Throws a SiglipError for a size that cannot be.
 */
export function heatRgba({ data, shape: [rows, columns] }: Heat, width: number, height: number): Uint8ClampedArray {
  checkSize(width, height, "the size of a heat map");
  if (data.length !== rows * columns) {
    const wanted = `${rows * columns} values for ${rows} x ${columns}`;
    throw mismatch("bad-input", "heat map", wanted, `${data.length}`, "pass what locate gives");
  }
  const top = data.reduce((most, heat) => Math.max(most, heat), 0);
  const across = Array.from({ length: width }, (_, x) => between(((x + 0.5) * columns) / width - 0.5, columns));
  const rgba = new Uint8ClampedArray(4 * width * height);
  if (top === 0) return rgba;
  for (let y = 0; y < height; y++) {
    const [above, below, down] = between(((y + 0.5) * rows) / height - 0.5, rows);
    for (const [x, [left, right, along]] of across.entries()) {
      const at = (row: number) => data[row * columns + left] * (1 - along) + data[row * columns + right] * along;
      const share = Math.max(0, (at(above) * (1 - down) + at(below) * down) / top);
      const to = 4 * (y * width + x);
      for (let c = 0; c < 3; c++) rgba[to + c] = WARM[c] + (HOT[c] - WARM[c]) * share;
      rgba[to + 3] = 255 * OPACITY * share;
    }
  }
  return rgba;
}

/** A picture with heat over it. */
export function withHeat(pixels: Pixels, heat: Heat): Pixels {
  checkPixels(pixels, "the picture below a heat map");
  const { width, height } = pixels;
  const rgba = heatRgba(heat, width, height);
  const data = pixels.data.slice();
  for (let i = 0; i < data.length; i++) {
    const pixel = 4 * Math.floor(i / 3);
    const opacity = rgba[pixel + 3] / 255;
    data[i] = Math.round(data[i] * (1 - opacity) + rgba[pixel + (i % 3)] * opacity);
  }
  return { width, height, data };
}

/** The two cells beside a place, and how far it is from the first. */
function between(place: number, cells: number): readonly [number, number, number] {
  const within = Math.max(0, Math.min(cells - 1, place));
  const first = Math.floor(within);
  return [first, Math.min(cells - 1, first + 1), within - first];
}
