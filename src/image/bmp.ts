import { damaged, unusual } from "./damaged.ts";
import { checkSize, type Pixels } from "./pixels.ts";

/** Lengths of the headers that there have been: OS/2's, Windows 3's, and with masks, alpha, colour spaces and profiles. */
const HEADERS = [12, 40, 52, 56, 64, 108, 124];

/** How values of a channel stand in a pixel's bits. */
interface Channel {
  readonly shift: number;
  readonly most: number;
}

/** What a BMP's headers say. */
interface Bmp {
  readonly width: number;
  readonly height: number;
  readonly topDown: boolean;
  /** Of a pixel. */
  readonly bits: number;
  readonly runs: boolean;
  /** RGB of each index; undefined where pixels are colours. */
  readonly palette: Uint8Array | undefined;
  /** Red, green and blue of pixels of 16 and 32 bits. */
  readonly channels: readonly Channel[];
  /** Where pixels begin. */
  readonly at: number;
}

/**
 * A BMP as PIL's `convert("RGB")` gives it: 1, 4, 8, 16, 24 and 32 bits, masks, and runs of 4 and 8 bits; alpha is dropped. Throws a
 * SiglipError for what is damaged, truncated or rarer. Memory: besides the file at most 4 bytes a pixel.
 */
export function decodeBmp(bytes: Uint8Array, name: string, maxPixels: number): Pixels {
  const bmp = readHeader(bytes, name, maxPixels);
  const { width, height, bits, at } = bmp;
  const stride = Math.floor((width * bits + 31) / 32) * 4;
  let rows = bytes.subarray(at);
  let pitch = stride;
  let depth = bits;
  if (bmp.runs) {
    // Lines may end early and pictures too, but a file that holds nothing cannot claim much.
    if (width * height > 255 * bytes.length * 128) {
      throw damaged("BMP", name, `${width} x ${height} pixels`, `that ${bytes.length} bytes cannot hold them`);
    }
    rows = expandRuns(rows, bmp, name);
    pitch = width;
    depth = 8;
  } else if (rows.length < stride * height) {
    throw damaged("BMP", name, `${stride * height} bytes of pixels`, `that the file ends after ${rows.length}`);
  }
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    const row = rows.subarray(y * pitch, (y + 1) * pitch);
    const to = 3 * width * (bmp.topDown ? y : height - 1 - y);
    if (bmp.palette) copyIndices(row, depth, bmp.palette, data.subarray(to, to + 3 * width));
    else copyColours(row, depth, bmp.channels, data.subarray(to, to + 3 * width));
  }
  return { width, height, data };
}

function readHeader(bytes: Uint8Array, name: string, maxPixels: number): Bmp {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const cut = () => damaged("BMP", name, "its headers", `that the file ends at byte ${bytes.length}`);
  if (bytes.length < 26) throw cut();
  const header = view.getUint32(14, true);
  if (!HEADERS.includes(header)) throw damaged("BMP", name, `a header of ${HEADERS.join(", ")} bytes`, `${header}`);
  if (bytes.length < 14 + header) throw cut();
  const old = header === 12;
  const width = old ? view.getUint16(18, true) : view.getUint32(18, true);
  const signed = old ? view.getUint16(20, true) : view.getInt32(22, true);
  const height = Math.abs(signed);
  checkSize(width, height, name, maxPixels);
  const bits = view.getUint16(old ? 24 : 28, true);
  const compression = old ? 0 : view.getUint32(30, true);
  const runs = (compression === 1 && bits === 8) || (compression === 2 && bits === 4);
  const masked = compression === 3 && (bits === 16 || bits === 32 || bits === 24);
  if (![1, 4, 8, 16, 24, 32].includes(bits) || !(compression === 0 || runs || masked)) {
    throw unusual(
      "BMP",
      name,
      "of 1 to 32 bits, plain, with masks or in runs",
      `${bits} bits in coding ${compression}`,
    );
  }
  let at = view.getUint32(10, true);
  let after = 14 + header;
  let channels = plainChannels(bits);
  if (masked && bits !== 24) {
    const from = 54;
    if (bytes.length < from + 12) throw cut();
    if (header === 40) after += 12;
    const masks = [0, 4, 8].map((field) => view.getUint32(from + field, true));
    if (masks.some((mask) => mask !== 0)) channels = masks.map((mask) => channelOf(mask, name));
  }
  if (bits > 8) return { width, height, topDown: signed < 0, bits, runs, palette: undefined, channels, at };
  const entry = old ? 3 : 4;
  const count = (old ? 0 : view.getUint32(46, true)) || 1 << bits;
  if (count > 65536 || after + entry * count > bytes.length) throw damaged("BMP", name, `${count} colours`, "fewer");
  if (at === 14 + header) at += 4 * count;
  const palette = new Uint8Array(3 * 256);
  for (let i = 0; i < Math.min(count, 256); i++) {
    for (let c = 0; c < 3; c++) palette[3 * i + c] = bytes[after + entry * i + 2 - c];
  }
  return { width, height, topDown: signed < 0, bits, runs, palette, channels, at };
}

function plainChannels(bits: number): Channel[] {
  return bits === 16
    ? [10, 5, 0].map((shift) => ({ shift, most: 31 }))
    : [16, 8, 0].map((shift) => ({ shift, most: 255 }));
}

function channelOf(mask: number, name: string): Channel {
  const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
  const most = mask >>> shift;
  if (![31, 63, 255].includes(most)) {
    throw unusual("BMP", name, "with masks of 5, 6 or 8 bits", `one of 0x${mask.toString(16)}`);
  }
  return { shift, most };
}

function copyIndices(row: Uint8Array, bits: number, palette: Uint8Array, out: Uint8Array): void {
  const mask = 2 ** bits - 1;
  for (let x = 0, o = 0; o < out.length; x++, o += 3) {
    const bit = x * bits;
    const colour = 3 * ((row[bit >> 3] >> (8 - bits - (bit & 7))) & mask);
    out[o] = palette[colour];
    out[o + 1] = palette[colour + 1];
    out[o + 2] = palette[colour + 2];
  }
}

function copyColours(row: Uint8Array, bits: number, channels: readonly Channel[], out: Uint8Array): void {
  const step = bits / 8;
  for (let i = 0, o = 0; o < out.length; i += step, o += 3) {
    const pixel = row[i] | (row[i + 1] << 8) | (step > 2 ? row[i + 2] << 16 : 0) | (step > 3 ? row[i + 3] << 24 : 0);
    for (let c = 0; c < 3; c++) {
      const { shift, most } = channels[c];
      const value = (pixel >>> shift) & most;
      out[o + c] = most === 255 ? value : Math.floor((value * 255) / most);
    }
  }
}

/** An index for each pixel; what no run covers is 0. */
function expandRuns(coded: Uint8Array, { width, height, bits }: Bmp, name: string): Uint8Array {
  const out = new Uint8Array(width * height);
  const nibbles = bits === 4;
  let [x, y, at] = [0, 0, 0];
  const put = (value: number) => {
    if (x < width && y < height) out[y * width + x] = value;
    x++;
  };
  while (y < height) {
    if (at + 2 > coded.length) {
      // PIL wants every pixel, and no end marker behind the last.
      if (y === height - 1 && x >= width) break;
      throw damaged("BMP", name, "an end of its pixels", `that the file ends in row ${y}`);
    }
    const [count, value] = [coded[at], coded[at + 1]];
    at += 2;
    if (count > 0) {
      for (let i = 0; i < count; i++) put(nibbles ? (i % 2 === 0 ? value >> 4 : value & 15) : value);
    } else if (value === 0) {
      x = 0;
      y++;
    } else if (value === 1) break;
    else if (value === 2) {
      x += coded[at] ?? 0;
      y += coded[at + 1] ?? 0;
      at += 2;
    } else {
      for (let i = 0; i < value; i++) {
        const byte = coded[at + (nibbles ? i >> 1 : i)] ?? 0;
        put(nibbles ? (i % 2 === 0 ? byte >> 4 : byte & 15) : byte);
      }
      const length = nibbles ? (value + 1) >> 1 : value;
      at += length + (length % 2);
    }
  }
  return out;
}
