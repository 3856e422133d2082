import { crc32, createInflate } from "node:zlib";
import { exifOrientation, orient } from "../../image/exif.ts";
import { checkSize, type Pixels } from "../../image/pixels.ts";
import { mismatch, type SiglipError } from "../../support/error.ts";

/** Colour types of the PNG specification (third edition, 11.2.1): their samples a pixel and their bit depths. */
const COLOUR_TYPES = new Map([
  [0, { channels: 1, depths: [1, 2, 4, 8, 16] }],
  [2, { channels: 3, depths: [8, 16] }],
  [3, { channels: 1, depths: [1, 2, 4, 8] }],
  [4, { channels: 2, depths: [8, 16] }],
  [6, { channels: 4, depths: [8, 16] }],
]);

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

interface Png {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly colourType: number;
  readonly channels: number;
  readonly passes: readonly (readonly number[])[];
  readonly palette?: Uint8Array;
  readonly deflated: Uint8Array;
  readonly orientation: number;
}

/**
 * Decodes a PNG of any colour type, depth and interlacing to what PIL's `convert("RGB")` gives: alpha is dropped, 16-bit samples keep
 * their high byte, grey and palettes are expanded, colour keys, gamma and profiles change nothing, `eXIf` turns the picture; of an APNG
 * the default image. Throws a SiglipError for whatever is truncated or fails a checksum, also after the pixels, where PIL looks away.
 * Memory: besides the file and a copy of it at most 14 bytes a pixel, and no more pixels than 8256 (1032 bytes of 8) times the file's bytes.
 */
export async function decodePng(bytes: Uint8Array, name: string): Promise<Pixels> {
  const png = readChunks(bytes, name);
  const { width, height, depth, channels } = png;
  const sizes = png.passes.map(([x, y, dx, dy]) => {
    const columns = Math.ceil((width - x) / dx);
    const rows = columns > 0 ? Math.max(0, Math.ceil((height - y) / dy)) : 0;
    return { columns, rows, stride: Math.ceil((columns * channels * depth) / 8) };
  });
  const length = sizes.reduce((sum, { rows, stride }) => sum + rows * (1 + stride), 0);
  const filtered = await inflate(png.deflated, length, name);
  const data = new Uint8Array(3 * width * height);
  const bytesPerPixel = Math.max(1, (channels * depth) / 8);
  const colours = png.channels < 3 ? colourTable(png) : undefined;
  let at = 0;
  for (const [p, { columns, rows, stride }] of sizes.entries()) {
    const [x, y, dx, dy] = png.passes[p];
    let above: Uint8Array = new Uint8Array(stride);
    for (let r = 0; r < rows; r++, at += 1 + stride) {
      const row = filtered.subarray(at + 1, at + 1 + stride);
      if (!unfilter(filtered[at], row, above, bytesPerPixel)) {
        throw broken(name, "filters of type 0 to 4", `${filtered[at]} in row ${r}`);
      }
      const o = 3 * ((y + r * dy) * width + x);
      if (colours) expandRow(row, png, colours, columns, data, o, 3 * dx);
      else copyRow(row, bytesPerPixel, depth / 8, columns, data, o, 3 * dx);
      above = row;
    }
  }
  return orient({ width, height, data }, png.orientation);
}

/** Reads and checks every chunk up to IEND; nothing is allocated but one buffer no longer than the file. */
function readChunks(bytes: Uint8Array, name: string): Png {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: Omit<Png, "deflated" | "orientation"> | undefined;
  let palette: Uint8Array | undefined;
  let deflated: Uint8Array | undefined;
  let length = 0;
  let ended = false;
  let orientation = 1;
  for (let at = 8; ; ) {
    if (at + 12 > bytes.length) throw broken(name, "an IEND chunk", `that the file ends at byte ${bytes.length}`);
    const size = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 8 + size;
    if (end + 4 > bytes.length) {
      throw broken(
        name,
        `${size} bytes in its ${JSON.stringify(type)} chunk`,
        `that the file ends at byte ${bytes.length}`,
      );
    }
    if (crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
      throw broken(name, `the checksum of its ${JSON.stringify(type)} chunk at byte ${at}`, "another");
    }
    const body = bytes.subarray(at + 8, end);
    if (!header && type === "CgBI") {
      const advice = "convert it with Xcode's `pngcrush -revert-iphone-optimizations` or export it again";
      throw mismatch("unsupported", name, "a PNG of the standard", "Apple's CgBI variant", advice);
    }
    if (!header !== (type === "IHDR")) throw broken(name, "one IHDR chunk, the first", JSON.stringify(type));
    if (type === "IHDR") header = readHeader(body, name);
    else if (type === "PLTE") palette ??= body;
    else if (type === "eXIf") orientation = exifOrientation(body);
    else if (type === "IDAT" && !ended) {
      deflated ??= new Uint8Array(bytes.length - at);
      deflated.set(body, length);
      length += size;
    } else if (type === "IEND") break;
    if (deflated && type !== "IDAT") ended = true;
    at = end + 4;
  }
  if (!header || !deflated) throw broken(name, "pixels in IDAT chunks", "none");
  if (header.colourType === 3 && !(palette && palette.length <= 768)) {
    throw broken(name, "a palette of at most 256 colours", palette ? `${palette.length} bytes` : "none");
  }
  return { ...header, palette, deflated: deflated.subarray(0, length), orientation };
}

function readHeader(body: Uint8Array, name: string): Omit<Png, "deflated" | "orientation"> {
  if (body.length !== 13) throw broken(name, "an IHDR chunk of 13 bytes", `${body.length}`);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const width = view.getUint32(0);
  const height = view.getUint32(4);
  const [depth, colourType, compression, filter, interlace] = body.subarray(8);
  checkSize(width, height, name);
  const kind = COLOUR_TYPES.get(colourType);
  if (!kind?.depths.includes(depth)) {
    throw broken(name, "a colour type and depth of the specification", `type ${colourType} with ${depth} bits`);
  }
  if (compression !== 0 || filter !== 0 || interlace > 1) {
    throw broken(name, "compression 0, filter 0 and interlace 0 or 1", `${compression}, ${filter} and ${interlace}`);
  }
  const passes = interlace ? ADAM7 : [[0, 0, 1, 1]];
  return { width, height, depth, colourType, channels: kind.channels, passes };
}

/** Exactly `length` bytes out of a zlib stream; a stream that holds more is cut there, as PIL does, one that holds less is refused. */
async function inflate(deflated: Uint8Array, length: number, name: string): Promise<Uint8Array> {
  if (length > DEFLATE_RATIO * deflated.length) {
    throw broken(name, `${length} bytes of pixels`, `that ${deflated.length} compressed ones cannot hold them`);
  }
  const out = new Uint8Array(length);
  const stream = createInflate({ chunkSize: Math.min(Math.max(length + 1, 64), 1 << 20) });
  let at = 0;
  try {
    stream.end(deflated);
    for await (const part of stream) {
      out.set(part.subarray(0, length - at), at);
      at += part.length;
      if (at > length) break;
    }
  } catch (cause) {
    throw broken(name, "whole compressed pixels", `that zlib says "${(cause as Error).message}"`);
  }
  if (at < length) throw broken(name, `${length} bytes of pixels`, `that its data ends after ${at}`);
  return out;
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

function broken(name: string, wanted: string, found: string): SiglipError {
  const advice = "the PNG is damaged or truncated, fetch or export it again";
  return mismatch("bad-input", name, wanted, found, advice);
}
