import { startsWith } from "../../image/exif.ts";
import { type ErrorCode, mismatch, type SiglipError } from "../../support/error.ts";

/** The kinds of picture files that are decoded here. */
export type Kind = "jpeg" | "png";

/** What files begin with: an offset and the bytes that stand there (Latin-1), the longest first where they overlap. */
const KINDS: readonly (readonly [number, string, Kind])[] = [
  [0, "\xff\xd8\xff", "jpeg"],
  [0, "\x89PNG\r\n\x1a\n", "png"],
];

/** What a file of another kind may be, likewise. */
const OTHERS: readonly (readonly [number, string, string])[] = [
  [0, "\x89PNG", "a PNG whose line endings were changed on the way"],
  [8, "WEBP", "a WebP picture"],
  [0, "GIF8", "a GIF picture"],
  [0, "BM", "a BMP picture"],
  [0, "II*\0", "a TIFF picture"],
  [0, "MM\0*", "a TIFF picture"],
  [4, "ftypavi", "an AVIF picture"],
  [4, "ftyphei", "a HEIC picture"],
  [4, "ftyphev", "a HEIC picture"],
  [4, "ftypmif1", "a HEIC or AVIF picture"],
  [4, "ftyp", "a video"],
  [0, "\xff\x0a", "a JPEG XL picture"],
  [4, "JXL ", "a JPEG XL picture"],
  [4, "jP  ", "a JPEG 2000 picture"],
  [0, "\xff\x4f\xff\x51", "a JPEG 2000 picture"],
  [0, "\0\0\x01\0", "an icon (ICO)"],
  [0, "8BPS", "a Photoshop document"],
  [0, "%PDF", "a PDF document"],
  [0, "PK", "a ZIP archive"],
  [0, "\x1f\x8b", "gzip-compressed data"],
  [0, "version https://git-lfs", "a Git LFS pointer instead of the file itself"],
];

/** What kind of picture a file is, by its first bytes and whatever its name says; undefined for one that is not decoded here. */
export function kindOf(bytes: Uint8Array): Kind | undefined {
  return KINDS.find(([offset, text]) => startsWith(bytes, text, offset))?.[2];
}

/** The error for a file of another kind. */
export function unknownKind(bytes: Uint8Array, name: string): SiglipError {
  const [code, found] = describe(bytes);
  return mismatch(code, name, "a PNG or JPEG picture", found, "convert it to PNG or JPEG");
}

/** What else a file is, and whether that is a sound kind of picture which is only not read here. */
function describe(bytes: Uint8Array): [ErrorCode, string] {
  if (bytes.length === 0) return ["bad-input", "an empty file"];
  const known = OTHERS.find(([offset, text]) => startsWith(bytes, text, offset));
  if (known) return [known[2].endsWith(" picture") ? "unsupported" : "bad-input", known[2]];
  const start = new TextDecoder()
    .decode(bytes.subarray(0, 512))
    .replace(/^\uFEFF/, "")
    .trimStart()
    .toLowerCase();
  if (start.startsWith("<svg") || (start.startsWith("<?xml") && start.includes("<svg"))) {
    return ["unsupported", "an SVG drawing"];
  }
  if (start.startsWith("<!doctype html") || start.startsWith("<html")) return ["bad-input", "an HTML page"];
  const hex = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return ["bad-input", `bytes that begin ${hex}`];
}
