import { Slice } from "../support/slices.ts";
import { orient } from "./exif.ts";
import { inflate } from "./inflate.ts";
import { type DecodeOptions, MAX_PIXELS, type Pixels } from "./pixels.ts";
import { brokenPng, type Png, readChunks } from "./png-chunks.ts";

/** First column, first row and the distances between them, for each pass of Adam7 (8.2). */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

/** Deflate cannot expand more: 258 bytes from a two-bit code, rounded as zlib's own manual does. */
const DEFLATE_RATIO = 1032;

/**
 * Decodes a PNG of any colour type, depth and interlacing to what PIL's `convert("RGB")` gives: alpha is dropped, 16-bit samples keep
 * their high byte, grey and palettes are expanded, colour keys, gamma and profiles change nothing; EXIF, also in a raw profile, and XMP
 * turn the picture; of an APNG it is the default image. As in PIL,
 * once every pixel is there, what follows does not matter, but for a false checksum of theirs. Throws a SiglipError
 * for what is truncated or damaged before. Memory: besides the file and a copy of it at most 14 bytes a pixel, and no more pixels than
 * 8256 (1032 bytes of 8) times the file's bytes. `inflated` may be a faster way to what `inflate` gives.
 */
export async function decodePng(
  bytes: Uint8Array,
  name: string,
  { maxPixels = MAX_PIXELS, signal }: DecodeOptions = {},
  inflated = inflate,
): Promise<Pixels> {
  const png = await readChunks(bytes, name, maxPixels);
  const slice = new Slice(signal);
  const { width, height, depth, channels } = png;
  const passes = png.interlaced ? ADAM7 : [[0, 0, 1, 1]];
  const sizes = passes.map(([x, y, dx, dy]) => {
    const columns = Math.ceil((width - x) / dx);
    const rows = columns > 0 ? Math.max(0, Math.ceil((height - y) / dy)) : 0;
    return { columns, rows, stride: Math.ceil((columns * channels * depth) / 8) };
  });
  const length = sizes.reduce((sum, { rows, stride }) => sum + rows * (1 + stride), 0);
  if (length > DEFLATE_RATIO * png.deflated.length) {
    throw brokenPng(name, `${length} bytes of pixels`, `that ${png.deflated.length} compressed ones cannot hold them`);
  }
  const { data: filtered, broken } = await inflated(png.deflated, length, slice);
  if (broken || filtered.length < length) {
    throw brokenPng(
      name,
      `${length} bytes of pixels`,
      `that its data ${broken ? "breaks" : "ends"} after ${filtered.length}`,
    );
  }
  const data = new Uint8Array(3 * width * height);
  const bytesPerPixel = Math.max(1, (channels * depth) / 8);
  const colours = png.channels < 3 ? colourTable(png) : undefined;
  let at = 0;
  for (const [p, { columns, rows, stride }] of sizes.entries()) {
    const [x, y, dx, dy] = passes[p];
    let above: Uint8Array = new Uint8Array(stride);
    for (let r = 0; r < rows; r++, at += 1 + stride) {
      if (slice.over) await slice.end();
      const row = filtered.subarray(at + 1, at + 1 + stride);
      if (!unfilter(filtered[at], row, above, bytesPerPixel)) {
        throw brokenPng(name, "filters of type 0 to 4", `${filtered[at]} in row ${r}`);
      }
      const o = 3 * ((y + r * dy) * width + x);
      if (colours) expandRow(row, png, colours, columns, data, o, 3 * dx);
      else copyRow(row, bytesPerPixel, depth / 8, columns, data, o, 3 * dx);
      above = row;
    }
  }
  return orient({ width, height, data }, png.orientation);
}

/** Undoes a row's filter in place (9.2); false where the type is unknown. */
function unfilter(type: number, row: Uint8Array, above: Uint8Array, distance: number): boolean {
  const n = row.length;
  switch (type) {
    case 0:
      return true;
    case 1:
      for (let i = distance; i < n; i++) row[i] += row[i - distance];
      return true;
    case 2:
      for (let i = 0; i < n; i++) row[i] += above[i];
      return true;
    case 3:
      for (let i = 0; i < n; i++) row[i] += ((i < distance ? 0 : row[i - distance]) + above[i]) >> 1;
      return true;
    case 4:
      for (let i = 0; i < Math.min(distance, n); i++) row[i] += above[i];
      for (let i = distance; i < n; i++) row[i] += paeth(row[i - distance], above[i], above[i - distance]);
      return true;
    default:
      return false;
  }
}

function paeth(left: number, up: number, corner: number): number {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** The RGB of every value a grey sample or a palette index can have; indices past the palette are black, as in PIL. */
function colourTable({ depth, palette, colourType }: Png): Uint8Array {
  const table = new Uint8Array(3 * 256);
  if (colourType === 3) table.set(palette!);
  else for (let i = 0; i < table.length; i++) table[i] = (Math.floor(i / 3) * 255) / (2 ** Math.min(depth, 8) - 1);
  return table;
}

/** A row of grey or palette pixels through the table, to every `step` bytes of `data` from `o`. */
function expandRow(
  row: Uint8Array,
  { depth, channels }: Png,
  colours: Uint8Array,
  columns: number,
  data: Uint8Array,
  o: number,
  step: number,
): void {
  const mask = 2 ** depth - 1;
  for (let x = 0; x < columns; x++, o += step) {
    const bit = x * depth;
    const value = depth < 8 ? (row[bit >> 3] >> (8 - depth - (bit & 7))) & mask : row[(x * channels * depth) / 8];
    data[o] = colours[3 * value];
    data[o + 1] = colours[3 * value + 1];
    data[o + 2] = colours[3 * value + 2];
  }
}

/** A row of RGB or RGBA pixels of 1 or 2 bytes a sample, to every `step` bytes of `data` from `o`. */
function copyRow(
  row: Uint8Array,
  bytesPerPixel: number,
  bytesPerSample: number,
  columns: number,
  data: Uint8Array,
  o: number,
  step: number,
): void {
  for (let x = 0, i = 0; x < columns; x++, i += bytesPerPixel, o += step) {
    data[o] = row[i];
    data[o + 1] = row[i + bytesPerSample];
    data[o + 2] = row[i + 2 * bytesPerSample];
  }
}
