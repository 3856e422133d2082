import { checkPixels, type Pixels } from "./pixels.ts";

const ORIENTATION = 0x0112;
const SHORT = 3;

/**
 * The orientation (1 to 8) that an EXIF block asks for: a TIFF header and its first directory, as a PNG's `eXIf` chunk holds it and a
 * JPEG's APP1 after `Exif\0\0`. Anything absent, malformed or out of range is 1, upright.
 */
export function exifOrientation(tiff: Uint8Array): number {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (tiff.length < 14) return 1;
  const order = view.getUint16(0);
  if (order !== 0x4949 && order !== 0x4d4d) return 1;
  const little = order === 0x4949;
  if (view.getUint16(2, little) !== 42) return 1;
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return 1;
  const entries = view.getUint16(directory, little);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.length) return 1;
    if (view.getUint16(entry, little) !== ORIENTATION) continue;
    const value = view.getUint16(entry + 8, little);
    const valid = view.getUint16(entry + 2, little) === SHORT && view.getUint32(entry + 4, little) === 1;
    return valid && value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
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
