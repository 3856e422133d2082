import { startsWith } from "../image/exif.ts";
import { readMarkers, truncated } from "../image/jpeg-markers.ts";

/** A picture file that a browser may decode. */
export interface CheckedFile {
  /** The bytes for it to decode. */
  readonly parts: readonly Uint8Array[];
  /** How to turn the decoded picture, 1 to 8. */
  readonly orientation: number;
  /** What a browser cannot read of a sound file. */
  readonly unusual?: string;
}

/**
 * Looks through a JPEG's markers before a browser decodes the file: browsers differ in what they make of a truncated one, and
 * a small one may claim to be huge. Nothing is copied. The segments that turn a picture are left out, because browsers
 * differ in which of them they heed. Other kinds of file are theirs to judge. Throws a SiglipError for a truncated file, and
 * for more pixels than the limits of `checkSize` or than its bytes can hold.
 */
export function checkHeaders(bytes: Uint8Array, name: string, maxPixels?: number): CheckedFile {
  if (!startsWith(bytes, "\xff\xd8\xff")) return { parts: [bytes], orientation: 1 };
  const { orientation, told, end, closed, arithmetic } = readMarkers(bytes, name, maxPixels);
  if (!closed) throw truncated(name, bytes);
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [from, to] of told) {
    parts.push(bytes.subarray(at, from));
    at = to;
  }
  parts.push(bytes.subarray(at, end), Uint8Array.of(0xff, 0xd9));
  return { parts, orientation, unusual: arithmetic ? "arithmetic coding" : undefined };
}
