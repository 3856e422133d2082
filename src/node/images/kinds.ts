import { startsWith } from "../../image/exif.ts";
import { type ErrorCode, mismatch, type SiglipError } from "../../support/error.ts";

/** The kinds of picture files that are decoded here. */
export type Kind = "jpeg" | "png" | "webp" | "gif" | "bmp" | "tiff" | "avif" | "heic";

/** What files begin with: an offset and the bytes that stand there (Latin-1), the longest first where they overlap. */
const KINDS: readonly (readonly [number, string, Kind])[] = [
  [0, "\xff\xd8\xff", "jpeg"],
  [0, "\x89PNG\r\n\x1a\n", "png"],
  [8, "WEBP", "webp"],
  [0, "GIF8", "gif"],
  [0, "BM", "bmp"],
  [0, "II*\0", "tiff"],
  [0, "MM\0*", "tiff"],
];

/** What a file of another kind may be, likewise. */
const OTHERS: readonly (readonly [number, string, string])[] = [
  [0, "\x89PNG", "a PNG whose line endings were changed on the way"],
  [0, "II+\0", "a BigTIFF picture"],
  [0, "MM\0+", "a BigTIFF picture"],
  [4, "ftypmif1", "a HEIF picture in a rare coding"],
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
  return KINDS.find(([offset, text]) => startsWith(bytes, text, offset))?.[2] ?? codingOf(bytes);
}

/** AVIF and HEIC are one container, and tell their coding by the brands in their first box; some say only there. */
function codingOf(bytes: Uint8Array): Kind | undefined {
  if (!startsWith(bytes, "ftyp", 4)) return undefined;
  const length = Math.min(bytes.length, (bytes[2] << 8) | bytes[3], 256);
  for (let at = 8; at + 4 <= length; at += at === 8 ? 8 : 4) {
    const brand = String.fromCharCode(...bytes.subarray(at, at + 4));
    if (brand.startsWith("avi")) return "avif";
    if (/^he[iv][cxms]$/.test(brand)) return "heic";
  }
  return undefined;
}

/** What stands in place of a picture that got lost on its way, of which nothing can be converted. */
const LOST = /^(an empty file|an HTML page|a PNG whose line endings|a Git LFS pointer)/;

/** The error for a file of another kind. */
export function unknownKind(bytes: Uint8Array, name: string): SiglipError {
  const [code, found] = describe(bytes);
  return mismatch(
    code,
    name,
    "a PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF or HEIC picture",
    found,
    LOST.test(found) ? "fetch it again" : "convert it to PNG or JPEG",
  );
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
