import { decodeBmp } from "../../../image/bmp.ts";
import { decodeGif } from "../../../image/gif.ts";
import type { Pixels } from "../../../image/pixels.ts";
import { decodePng } from "../../../image/png.ts";
import { SiglipError } from "../../../support/error.ts";
import { inflateByZlib } from "../inflate.ts";
import type { Kind } from "../kinds.ts";
import type { PictureFile } from "../thread.ts";
import { decodeAvif } from "./avif.ts";
import { decodeHeic } from "./heic.ts";
import { decodeJpeg } from "./jpeg.ts";
import { decodeTiffHere } from "./tiff.ts";
import { alone } from "./turn.ts";
import { decodeWebP } from "./webp.ts";

/** How each kind is decoded: to upright RGB. Throws a SiglipError for what is damaged, truncated or oversized. */
const DECODERS: Readonly<Record<Kind, (picture: PictureFile) => Pixels | Promise<Pixels>>> = {
  jpeg: ({ bytes, name, maxPixels }) => decodeJpeg(bytes, name, maxPixels),
  png: ({ bytes, name, maxPixels }) => decodePng(bytes, name, { maxPixels }, inflateByZlib),
  webp: ({ bytes, name, maxPixels }) => decodeWebP(bytes, name, maxPixels),
  gif: ({ bytes, name, maxPixels }) => decodeGif(bytes, name, maxPixels),
  bmp: ({ bytes, name, maxPixels }) => decodeBmp(bytes, name, maxPixels),
  tiff: ({ bytes, name, maxPixels }) => decodeTiffHere(bytes, name, maxPixels),
  avif: ({ bytes, name, maxPixels, codec }) => decodeAvif(bytes, name, maxPixels, codec!),
  heic: ({ bytes, name, maxPixels, codec }) => decodeHeic(bytes, name, maxPixels, codec!),
};

/** Pictures of more pixels are decoded one at a time: four of the largest that may be read would take 15 GB together. */
const LARGE = 40_000_000;

/** The picture in a file. */
export async function decode(picture: PictureFile): Promise<Pixels> {
  const decoder = DECODERS[picture.kind];
  if (picture.maxPixels <= LARGE) return decoder(picture);
  try {
    return await decoder({ ...picture, maxPixels: LARGE });
  } catch (error) {
    if (!(error instanceof SiglipError && error.message.includes(`at most ${LARGE} pixels`))) throw error;
    return alone(async () => decoder(picture));
  }
}
