import { damaged, unusual } from "./damaged.ts";
import { orient } from "./exif.ts";
import { checkSize, type Pixels } from "./pixels.ts";
import { Directory } from "./tiff-directory.ts";
import { copySamples, type Samples, undoPredictor } from "./tiff-samples.ts";
import { unpackBits, unpackLzw } from "./tiff-unpack.ts";

/** Tags of TIFF 6.0. */
const TAG = {
  ...{
    width: 256,
    height: 257,
    bits: 258,
    compression: 259,
    photometric: 262,
    fill: 266,
    strips: 273,
    orientation: 274,
  },
  ...{
    channels: 277,
    rows: 278,
    sizes: 279,
    planar: 284,
    predictor: 317,
    colours: 320,
    tileWidth: 322,
    tileHeight: 323,
  },
  ...{ tiles: 324, tileSizes: 325, extra: 338, format: 339, tables: 347 },
};

/** No more pixels than that a byte: deflate's 1032, of one bit each. */
const PIXELS_A_BYTE = 8256;

/** Decoders that a TIFF needs beside its own. */
export interface TiffCodecs {
  /** A zlib stream's bytes, at most `length`; fewer where it ends or breaks before. */
  inflate(bytes: Uint8Array, length: number): Uint8Array;
  /** A JPEG of at most `maxPixels`. Throws a SiglipError for what is damaged. */
  jpeg(bytes: Uint8Array, name: string, maxPixels: number): Promise<Pixels>;
}

/** Pictures that lie side by side and make up the whole: strips as wide as it, or tiles. */
interface Pieces {
  readonly width: number;
  readonly height: number;
  /** In a row of them. */
  readonly across: number;
  /** One under the other. */
  readonly down: number;
  readonly offsets: readonly number[];
  readonly sizes: readonly number[];
}

/**
 * The first page of a TIFF as PIL's `convert("RGB")` gives it: grey, palettes, RGB and CMYK, in strips or tiles, plain or packed by LZW,
 * deflate, PackBits or JPEG, turned as it says. Of 16 bits the high byte counts. Throws a SiglipError for what is damaged or truncated,
 * and for what is rarer (faxes, floats, CIELAB). Memory: besides the file at most 20 bytes a pixel, and no more pixels than 8256 times
 * the file's bytes.
 */
export async function decodeTiff(
  bytes: Uint8Array,
  name: string,
  maxPixels: number,
  codecs: TiffCodecs,
): Promise<Pixels> {
  const directory = new Directory(bytes, name);
  const width = directory.number(TAG.width, 0);
  const height = directory.number(TAG.height, 0);
  checkSize(width, height, name, maxPixels);
  if (width * height > PIXELS_A_BYTE * bytes.length) {
    throw damaged("TIFF", name, `${width} x ${height} pixels`, `that ${bytes.length} bytes cannot hold them`);
  }
  const samples = readSamples(directory, name);
  const planes = directory.number(TAG.planar, 1) === 2 ? samples.channels : 1;
  if (planes > 1 && samples.bits < 8) throw unusual("TIFF", name, "whose planes have 8 or 16 bits", `${samples.bits}`);
  const pieces = readPieces(directory, width, height, name);
  checkSize(pieces.width, pieces.height, name, Math.max(maxPixels, 65_536));
  const compression = directory.number(TAG.compression, 1);
  const data = new Uint8Array(3 * width * height);
  if (compression === 7) {
    if (planes > 1) throw unusual("TIFF", name, "whose JPEGs hold all colours", "one for each");
    await eachJpeg(bytes, directory, pieces, { width, height, data }, name, codecs);
    return orient({ width, height, data }, directory.number(TAG.orientation, 1));
  }
  const predicted = directory.number(TAG.predictor, 1) === 2 && (compression === 5 || isDeflate(compression));
  const stored: Samples = planes > 1 ? { ...samples, channels: 1 } : samples;
  const stride = Math.ceil((pieces.width * stored.channels * stored.bits) / 8);
  const sample = samples.bits / 8;
  for (let index = 0; index < pieces.across * pieces.down; index++) {
    const left = (index % pieces.across) * pieces.width;
    const top = Math.floor(index / pieces.across) * pieces.height;
    // The last strip may be cut short, a tile never is.
    const rows = Math.min(pieces.height, height - top);
    const columns = Math.min(pieces.width, width - left);
    const parts: Uint8Array[] = [];
    for (let plane = 0; plane < planes; plane++) {
      const number = plane * pieces.across * pieces.down + index;
      const packed = pieceOf(bytes, pieces, number, name);
      const part = unpack(packed, compression, pieces.height * stride, codecs, name);
      if (part.length < rows * stride) {
        throw damaged("TIFF", name, `${rows * stride} bytes in strip or tile ${number}`, `${part.length}`);
      }
      if (predicted) for (let y = 0; y < rows; y++) undoPredictor(part.subarray(y * stride, (y + 1) * stride), stored);
      parts.push(part);
    }
    for (let y = 0; y < rows; y++) {
      const lines = parts.map((part) => part.subarray(y * stride, (y + 1) * stride));
      const row = planes > 1 ? interleave(lines, sample) : lines[0];
      copySamples(row, samples, columns, data, 3 * ((top + y) * width + left));
    }
  }
  return orient({ width, height, data }, directory.number(TAG.orientation, 1));
}

const isDeflate = (compression: number) => compression === 8 || compression === 32946;

function readSamples(directory: Directory, name: string): Samples {
  const photometric = directory.number(TAG.photometric, 1);
  const compression = directory.number(TAG.compression, 1);
  const channels = directory.number(TAG.channels, 1);
  const depths = directory.numbers(TAG.bits, 64);
  const bits = depths[0] ?? 1;
  const coded = compression === 7 && [0, 1, 2, 6].includes(photometric) && bits === 8 && channels <= 3;
  if (![1, 5, 7, 8, 32946, 32773].includes(compression)) {
    throw unusual(
      "TIFF",
      name,
      "that is plain or packed by LZW, deflate, PackBits or JPEG",
      `compression ${compression}`,
    );
  }
  const known: Readonly<Record<number, readonly number[]>> = {
    ...{ 0: [1, 2, 4, 8, 16], 1: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 5: [8] },
  };
  const least: Readonly<Record<number, number>> = { 2: 3, 5: 4 };
  const plain = known[photometric]?.includes(bits) && depths.every((depth) => depth === bits) && compression !== 7;
  if (!(coded || (plain && channels >= (least[photometric] ?? 1) && channels <= 64))) {
    const found = `${channels} channels of ${bits} bits, colours of kind ${photometric}, compression ${compression}`;
    throw unusual("TIFF", name, "of grey, a palette, RGB or CMYK in 8 or 16 bits", found);
  }
  if (directory.number(TAG.format, 1) !== 1 || directory.number(TAG.fill, 1) !== 1) {
    throw unusual("TIFF", name, "of unsigned integers, the highest bit first", "another");
  }
  return {
    ...{ photometric, bits, channels, little: directory.little },
    premultiplied: channels === 4 && bits === 8 && photometric === 2 && directory.number(TAG.extra, 0) === 1,
    colours: photometric === 3 ? directory.numbers(TAG.colours, 3 * 2 ** bits) : [],
  };
}

function readPieces(directory: Directory, width: number, height: number, name: string): Pieces {
  const tiled = directory.count(TAG.tiles) > 0;
  const pieceWidth = tiled ? directory.number(TAG.tileWidth, 0) : width;
  const pieceHeight = tiled
    ? directory.number(TAG.tileHeight, 0)
    : Math.min(directory.number(TAG.rows, height), height);
  const sound = pieceWidth >= 1 && pieceHeight >= 1 && pieceWidth <= width + 65_536 && pieceHeight <= height + 65_536;
  if (!sound) throw damaged("TIFF", name, "strips or tiles", `some of ${pieceWidth} x ${pieceHeight} pixels`);
  const [across, down] = [Math.ceil(width / pieceWidth), Math.ceil(height / pieceHeight)];
  const most = across * down * 64;
  const offsets = directory.numbers(tiled ? TAG.tiles : TAG.strips, most);
  const sizes = directory.numbers(tiled ? TAG.tileSizes : TAG.sizes, most);
  return { width: pieceWidth, height: pieceHeight, across, down, offsets, sizes };
}

/** The bytes of a strip or tile; one whose length is not told goes on to the file's end. */
function pieceOf(bytes: Uint8Array, { offsets, sizes }: Pieces, number: number, name: string): Uint8Array {
  const at = offsets[number];
  const end = at + (sizes[number] ?? bytes.length - at);
  if (at === undefined || end > bytes.length) {
    const found = at === undefined ? "none" : `that the file ends at byte ${bytes.length}`;
    throw damaged("TIFF", name, `strip or tile ${number}`, found);
  }
  return bytes.subarray(at, end);
}

function unpack(
  packed: Uint8Array,
  compression: number,
  length: number,
  { inflate }: TiffCodecs,
  name: string,
): Uint8Array {
  // A copy, for a predictor is undone in place.
  if (compression === 1) return packed.slice(0, length);
  if (compression === 32773) return unpackBits(packed, length);
  if (compression !== 5) return inflate(packed, length);
  if (packed[0] === 0 && packed[1] & 1) throw unusual("TIFF", name, "with LZW as TIFF 6 has it", "that of TIFF 5");
  return unpackLzw(packed, length);
}

function interleave(lines: readonly Uint8Array[], bytes: number): Uint8Array {
  const step = Math.max(1, bytes);
  const row = new Uint8Array(lines.length * lines[0].length);
  for (const [c, line] of lines.entries()) {
    for (let i = 0; i < line.length; i++) {
      row[Math.floor(i / step) * step * lines.length + c * step + (i % step)] = line[i];
    }
  }
  return row;
}

/** Strips or tiles that are JPEGs, whose tables may stand in a file of their own. */
async function eachJpeg(
  bytes: Uint8Array,
  directory: Directory,
  pieces: Pieces,
  { width, height, data }: Pixels,
  name: string,
  { jpeg }: TiffCodecs,
): Promise<void> {
  const tables = directory.raw(TAG.tables);
  const photometric = directory.number(TAG.photometric, 1);
  // Adobe's segment says whether three channels are RGB or YCbCr.
  const adobe = [0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, photometric === 2 ? 0 : 1];
  const marked = directory.number(TAG.channels, 1) === 3 ? Uint8Array.from(adobe) : new Uint8Array();
  for (let index = 0; index < pieces.across * pieces.down; index++) {
    const scan = pieceOf(bytes, pieces, index, name).subarray(2);
    const shared = tables.subarray(2, Math.max(2, tables.length - 2));
    const file = new Uint8Array(2 + marked.length + shared.length + scan.length);
    file.set([0xff, 0xd8]);
    file.set(marked, 2);
    file.set(shared, 2 + marked.length);
    file.set(scan, 2 + marked.length + shared.length);
    const piece = await jpeg(file, name, pieces.width * pieces.height);
    const [left, top] = [(index % pieces.across) * pieces.width, Math.floor(index / pieces.across) * pieces.height];
    const columns = Math.min(piece.width, width - left);
    const rows = Math.min(pieces.height, height - top);
    if (columns < Math.min(pieces.width, width - left) || piece.height < rows) {
      throw damaged("TIFF", name, `JPEGs of ${pieces.width} x ${rows}`, `one of ${piece.width} x ${piece.height}`);
    }
    for (let y = 0; y < rows; y++) {
      const from = 3 * y * piece.width;
      data.set(piece.data.subarray(from, from + 3 * columns), 3 * ((top + y) * width + left));
    }
    if (photometric === 0) throw unusual("TIFF", name, "whose JPEGs are white where they are bright", "the reverse");
  }
}
