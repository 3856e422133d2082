import { startsWith } from "../../image/exif.ts";
import { type DecodeOptions, decodeBy, MAX_PIXELS, type Pixels } from "../../image/pixels.ts";
import { decodePng } from "../../image/png.ts";
import { PNG_SIGNATURE } from "../../image/signatures.ts";
import { type ErrorCode, mismatch, SiglipError } from "../../support/error.ts";
import { inflateByZlib } from "./inflate.ts";
import { decodeJpeg } from "./jpeg.ts";

/** What a file that is no PNG or JPEG may be: an offset and the bytes that stand there (Latin-1), the longest first where they overlap. */
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

/**
 * The picture in a PNG or JPEG file, as PIL reads it for Hugging Face's processors (`load_image`: EXIF orientation applied, RGB). Throws a
 * SiglipError for every other kind of file, named by its first bytes, and for a damaged, truncated or oversized picture (limits:
 * `MAX_PIXELS`, `MAX_SIDE`). `name` begins the message.
 */
export async function decode(bytes: Uint8Array, name = "the picture", options: DecodeOptions = {}): Promise<Pixels> {
  const { maxPixels = MAX_PIXELS, signal } = options;
  try {
    if (options.decode) return await decodeBy(options.decode, bytes, name, signal);
    if (startsWith(bytes, PNG_SIGNATURE)) return await decodePng(bytes, name, options, inflateByZlib);
    if (startsWith(bytes, "\xff\xd8\xff")) return await decodeJpeg(bytes, name, maxPixels, signal);
  } catch (cause) {
    if (cause instanceof SiglipError || signal?.aborted) throw cause;
    const wanted = `to decode a picture of ${bytes.length} bytes`;
    const advice = "free memory or scale the picture down";
    throw mismatch("out-of-memory", name, wanted, `"${(cause as Error).message}"`, advice, cause);
  }
  const [code, found] = kind(bytes);
  throw mismatch(code, name, "a PNG or JPEG picture", found, "convert it to PNG or JPEG");
}

/** What else a file is, and whether that is a sound kind of picture which is only not read here. */
function kind(bytes: Uint8Array): [ErrorCode, string] {
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
