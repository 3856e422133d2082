import { exifOrientation } from "../image/exif.ts";
import { readMarkers } from "../image/jpeg-markers.ts";
import { checkSize } from "../image/pixels.ts";
import { mismatch, type SiglipError } from "../support/error.ts";

/** Deflate turns a byte into at most 1032, each of at most 8 pixels. */
const PNG_PIXELS_A_BYTE = 8 * 1032;

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
  if (startsWith(bytes, [0xff, 0xd8, 0xff])) readMarkers(bytes, name);
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
      throw damaged(name, "one IHDR chunk, the first", JSON.stringify(type));
    if (type === "IEND") return checked;
    if (type === "IHDR") checkClaim(view.getUint32(16), view.getUint32(20), PNG_PIXELS_A_BYTE * bytes.length, name);
    if (type === "eXIf") {
      if (checked.parts.length > 1) throw damaged(name, "one eXIf chunk", "two");
      const orientation = exifOrientation(bytes.subarray(at + 8, at + 8 + size));
      checked = { parts: [bytes.subarray(0, at), bytes.subarray(end)], orientation };
    }
    at = end;
  }
  throw truncated(name, bytes);
}

/** Throws unless a header's size is within the limits and no more than the file can hold. */
function checkClaim(width: number, height: number, most: number, name: string): void {
  checkSize(width, height, name);
  if (width * height > most) throw damaged(name, `at most ${most} pixels in so few bytes`, `${width} x ${height}`);
}

function startsWith(bytes: Uint8Array, signature: readonly number[]): boolean {
  return signature.every((byte, i) => bytes[i] === byte);
}

function truncated(name: string, bytes: Uint8Array): SiglipError {
  return damaged(name, "the picture's end", `that the file ends at byte ${bytes.length}`);
}

function damaged(name: string, wanted: string, found: string): SiglipError {
  return mismatch("bad-input", name, wanted, found, "the picture is damaged or truncated, fetch or export it again");
}
