import { SiglipError } from "../error.ts";
import { exifOrientation } from "../image/exif.ts";
import { checkSize } from "../image/pixels.ts";

/** An 8 x 8 block of a JPEG costs at least one bit; even with the widest chroma subsampling a byte holds no more pixels. */
const JPEG_PIXELS_A_BYTE = 1024;

/** Deflate turns a byte into at most 1032, each of at most 8 pixels. */
const PNG_PIXELS_A_BYTE = 8 * 1032;

/** Real progressive JPEGs have about ten scans; each costs a pass over the whole picture however few bytes it has. */
const MAX_SCANS = 100;

/** A picture file whose headers hold together. */
export interface CheckedFile {
  /** The bytes for a browser to decode. */
  readonly parts: readonly Uint8Array[];
  /** How to turn the decoded picture, 1 to 8: what a PNG asks for. */
  readonly orientation: number;
}

/**
 * Looks through a PNG's chunks or a JPEG's markers to their end before a browser decodes the file: browsers differ in what they
 * make of a truncated one, and a small one may claim to be huge. Nothing is copied. A PNG's `eXIf` chunk is taken out, because
 * browsers miss it behind the pixels and lose the colours under alpha when they turn a picture; JPEGs they turn well. Other
 * kinds of file are theirs to judge. Throws a SiglipError for a truncated file, and for more pixels than the limits of
 * `checkSize` or than its bytes can hold.
 */
export function checkHeaders(bytes: Uint8Array, name: string): CheckedFile {
  if (startsWith(bytes, [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10])) return checkPng(bytes, name);
  if (startsWith(bytes, [0xff, 0xd8, 0xff])) checkJpeg(bytes, name);
  return { parts: [bytes], orientation: 1 };
}

function checkPng(bytes: Uint8Array, name: string): CheckedFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let checked: CheckedFile = { parts: [bytes], orientation: 1 };
  for (let at = 8; at + 12 <= bytes.length; ) {
    const size = view.getUint32(at);
    const end = at + 12 + size;
    if (end > bytes.length) break;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if ((at === 8) !== (type === "IHDR" && size === 13))
      throw damaged(name, `one IHDR chunk, the first, found ${JSON.stringify(type)}`);
    if (type === "IEND") return checked;
    if (type === "IHDR") checkClaim(view.getUint32(16), view.getUint32(20), PNG_PIXELS_A_BYTE * bytes.length, name);
    if (type === "eXIf") {
      if (checked.parts.length > 1) throw damaged(name, "one eXIf chunk, found two");
      const orientation = exifOrientation(bytes.subarray(at + 8, at + 8 + size));
      checked = { parts: [bytes.subarray(0, at), bytes.subarray(end)], orientation };
    }
    at = end;
  }
  throw truncated(name, bytes);
}

function checkJpeg(bytes: Uint8Array, name: string): void {
  let scans = 0;
  for (let at = 2; ; ) {
    // A marker is 0xff and a byte that is neither 0 (the 0xff was a pixel's) nor 0xff (it was a fill byte).
    do {
      at = bytes.indexOf(0xff, at) + 1;
      if (at === 0 || at === bytes.length) throw truncated(name, bytes);
    } while (bytes[at] === 0x00 || bytes[at] === 0xff);
    const marker = bytes[at++];
    if (marker === 0xd9) return;
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue;
    const [size, height, width] = [at, at + 3, at + 5].map((offset) => (bytes[offset] << 8) | bytes[offset + 1]);
    if (at + 2 > bytes.length || at + size > bytes.length) throw truncated(name, bytes);
    const frame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (size < (frame ? 8 : 2)) throw damaged(name, `whole segments, found one of ${size} bytes`);
    if (frame) checkClaim(width, height, JPEG_PIXELS_A_BYTE * bytes.length, name);
    if (marker === 0xda && ++scans > MAX_SCANS) throw damaged(name, `at most ${MAX_SCANS} scans, found more`);
    at += size;
  }
}

/** Throws unless a header's size is within the limits and no more than the file can hold. */
function checkClaim(width: number, height: number, most: number, name: string): void {
  checkSize(width, height, name);
  if (width * height > most) throw damaged(name, `at most ${most} pixels in so few bytes, found ${width} x ${height}`);
}

function startsWith(bytes: Uint8Array, signature: readonly number[]): boolean {
  return signature.every((byte, i) => bytes[i] === byte);
}

function truncated(name: string, bytes: Uint8Array): SiglipError {
  return damaged(name, `the picture's end, found that the file ends at byte ${bytes.length}`);
}

function damaged(name: string, wanted: string): SiglipError {
  return new SiglipError(`${name}: wanted ${wanted}; the picture is damaged or truncated, fetch or export it again.`);
}
