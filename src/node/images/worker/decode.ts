import type { Pixels } from "../../../image/pixels.ts";
import { decodePng } from "../../../image/png.ts";
import { inflateByZlib } from "../inflate.ts";
import type { Kind } from "../kinds.ts";
import type { PictureFile } from "../thread.ts";
import { decodeJpeg } from "./jpeg.ts";

/** How each kind is decoded: to upright RGB. Throws a SiglipError for what is damaged, truncated or oversized. */
const DECODERS: Readonly<Record<Kind, (picture: PictureFile) => Pixels | Promise<Pixels>>> = {
  jpeg: ({ bytes, name, maxPixels }) => decodeJpeg(bytes, name, maxPixels),
  png: ({ bytes, name, maxPixels }) => decodePng(bytes, name, { maxPixels }, inflateByZlib),
};

/** The picture in a file. */
export async function decode(picture: PictureFile): Promise<Pixels> {
  return DECODERS[picture.kind](picture);
}
