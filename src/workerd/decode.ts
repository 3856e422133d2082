import { decodeBmp } from "../image/bmp.ts";
import { decodeGif } from "../image/gif.ts";
import type { Decoder } from "../image/pixels.ts";
import { decodePng } from "../image/png.ts";
import { kindOf, unknownKind } from "../node/images/kinds.ts";
import { decodeJpeg } from "../node/images/worker/jpeg.ts";
import { decodeWebP } from "../node/images/worker/webp.ts";
import { mismatch } from "../support/error.ts";

/**
 * The most pixels of a picture by default: a Worker has 128 MB, the model among them, and one that takes more is ended, with
 * all requests that it had.
 */
const MOST = 2 ** 23;

/** Decodes picture files of at most so many pixels as Node does, to the bit, in the caller's own thread. */
export function decoder(maxPixels = MOST): Decoder {
  return (bytes, name, signal) => {
    const kind = kindOf(bytes);
    if (kind === "jpeg") return decodeJpeg(bytes, name, maxPixels);
    if (kind === "png") return decodePng(bytes, name, { maxPixels, signal });
    if (kind === "webp") return decodeWebP(bytes, name, maxPixels);
    if (kind === "gif") return decodeGif(bytes, name, maxPixels);
    if (kind === "bmp") return decodeBmp(bytes, name, maxPixels);
    if (!kind) throw unknownKind(bytes, name);
    const found = `${kind.toUpperCase()}, which needs Node or a decoder of yours`;
    throw mismatch("unsupported", name, "a PNG, JPEG, WebP, GIF or BMP picture", found, "convert it or pass decode");
  };
}
