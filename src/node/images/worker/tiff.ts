import { inflateSync } from "node:zlib";
import type { Pixels } from "../../../image/pixels.ts";
import { decodeTiff, type TiffCodecs } from "../../../image/tiff.ts";
import { decodeJpeg } from "./jpeg.ts";

const codecs: TiffCodecs = {
  jpeg: decodeJpeg,
  inflate(bytes, length) {
    try {
      return inflateSync(bytes, { maxOutputLength: length, finishFlush: 2 });
    } catch {
      return new Uint8Array();
    }
  },
};

/** The first page of a TIFF; see `decodeTiff`. */
export async function decodeTiffHere(bytes: Uint8Array, name: string, maxPixels: number): Promise<Pixels> {
  return decodeTiff(bytes, name, maxPixels, codecs);
}
