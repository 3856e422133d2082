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
  const [lefts, rights, alongs] = [0, 1, 2].map((part) => Float64Array.from(across, (place) => place[part]));
  const rgba = new Uint8ClampedArray(4 * width * height);
  if (top === 0) return rgba;
  for (let y = 0, to = 0; y < height; y++) {
    const [above, below, down] = between(((y + 0.5) * rows) / height - 0.5, rows);
    const cells = Float64Array.from({ length: columns }, (_, column) => {
      return (data[above * columns + column] * (1 - down) + data[below * columns + column] * down) / top;
    });
    for (let x = 0; x < width; x++, to += 4) {
      const share = cells[lefts[x]] * (1 - alongs[x]) + cells[rights[x]] * alongs[x];
      if (!(share > 0)) continue;
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
  for (let pixel = 0; pixel < width * height; pixel++) {
    const opacity = rgba[4 * pixel + 3] / 255;
    if (opacity === 0) continue;
    for (let c = 0; c < 3; c++) {
      const i = 3 * pixel + c;
      data[i] = Math.round(data[i] * (1 - opacity) + rgba[4 * pixel + c] * opacity);
    }
  }
  return { width, height, data };
}

/** The two cells beside a place, and how far it is from the first. */
function between(place: number, cells: number): readonly [number, number, number] {
  const within = Math.max(0, Math.min(cells - 1, place));
  const first = Math.floor(within);
  return [first, Math.min(cells - 1, first + 1), within - first];
}
