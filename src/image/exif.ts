import { checkPixels, type Pixels } from "./pixels.ts";

const ORIENTATION = 0x0112;

/** Bytes of a value of each TIFF type that PIL knows, and how those are read that can be an orientation. */
const TYPES = new Map<number, readonly [bytes: number, read?: (view: DataView, at: number, little: boolean) => number]>(
  [
    [1, [1]],
    [2, [1]],
    [3, [2, (view, at, little) => view.getUint16(at, little)]],
    [4, [4, (view, at, little) => view.getUint32(at, little)]],
    [5, [8, (view, at, little) => view.getUint32(at, little) / view.getUint32(at + 4, little)]],
    [6, [1, (view, at) => view.getInt8(at)]],
    [7, [1]],
    [8, [2, (view, at, little) => view.getInt16(at, little)]],
    [9, [4, (view, at, little) => view.getInt32(at, little)]],
    [10, [8, (view, at, little) => view.getInt32(at, little) / view.getInt32(at + 4, little)]],
    [11, [4, (view, at, little) => view.getFloat32(at, little)]],
    [12, [8, (view, at, little) => view.getFloat64(at, little)]],
    [13, [4, (view, at, little) => view.getUint32(at, little)]],
    [16, [8]],
  ],
);

/** What a file says of itself beside its pixels. */
export interface Metadata {
  /** A TIFF header and directories, with or without `Exif\0\0` before them. */
  exif?: Uint8Array;
  /** An XMP packet. */
  xmp?: string;
}

/** How PIL turns a picture, 1 (upright) to 8: as its EXIF block says, else as its XMP packet says. */
export function orientationOf({ exif, xmp }: Metadata): number {
  const asked = exif && exifOrientation(exif);
  if (asked !== undefined) return asked;
  return valid(Number(xmp && /tiff:Orientation(?:="|>)([0-9])/.exec(xmp)?.[1]));
}

/**
 * The orientation that an EXIF block asks for: a TIFF header and its first directory. The last of several counts, of numbers of
 * any kind but bytes, and of a list the first; one out of range is 1. Undefined where there is none. A malformed block says what
 * stands before its fault.
 */
export function exifOrientation(block: Uint8Array): number | undefined {
  while (startsWith(block, "Exif\0\0")) block = block.subarray(6);
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  if (block.length < 10) return undefined;
  const order = view.getUint16(0);
  const little = order === 0x4949;
  // Some write the 42 in the wrong order.
  if ((!little && order !== 0x4d4d) || ![42, 42 << 8].includes(view.getUint16(2))) return undefined;
  const directory = view.getUint32(4, little);
  if (directory + 2 > block.length) return undefined;
  const entries = view.getUint16(directory, little);
  let found: number | undefined;
  for (let i = 0, entry = directory + 2; i < entries && entry + 12 <= block.length; i++, entry += 12) {
    const type = TYPES.get(view.getUint16(entry + 2, little));
    const count = view.getUint32(entry + 4, little);
    if (!type || count === 0) continue;
    const [bytes, read] = type;
    const at = bytes * count > 4 ? view.getUint32(entry + 8, little) : entry + 8;
    if (at + bytes * count > block.length) break;
    if (view.getUint16(entry, little) === ORIENTATION) found = valid(read?.(view, at, little));
  }
  return found;
}

function valid(orientation: number | undefined): number {
  return [2, 3, 4, 5, 6, 7, 8].find((known) => known === orientation) ?? 1;
}

/** Whether bytes begin with a text (Latin-1). */
export function startsWith(bytes: Uint8Array, text: string, at = 0): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The picture turned and mirrored as an EXIF orientation asks (PIL's `ImageOps.exif_transpose`); 5 to 8 swap width and height. */
export function orient(pixels: Pixels, orientation: number): Pixels {
  checkPixels(pixels, "the picture to turn");
  if (!(orientation >= 2 && orientation <= 8)) return pixels;
  const { width, height, data } = pixels;
  const swapped = orientation >= 5;
  const mirrored = [2, 3, 7, 8].includes(orientation);
  const flipped = [3, 4, 6, 7].includes(orientation);
  const right = mirrored ? -3 : 3;
  const below = flipped ? -3 * width : 3 * width;
  const corner = 3 * ((mirrored ? width - 1 : 0) + (flipped ? (height - 1) * width : 0));
  const [outWidth, outHeight] = swapped ? [height, width] : [width, height];
  const [dx, dy] = swapped ? [below, right] : [right, below];
  const out = new Uint8Array(data.length);
  let o = 0;
  for (let y = 0; y < outHeight; y++) {
    let i = corner + y * dy;
    for (let x = 0; x < outWidth; x++, i += dx, o += 3) {
      out[o] = data[i];
      out[o + 1] = data[i + 1];
      out[o + 2] = data[i + 2];
    }
  }
  return { width: outWidth, height: outHeight, data: out };
}
