import { mismatch, SiglipError } from "../support/error.ts";
import type { Decoder, PictureOptions, Pixels } from "./pixels.ts";

/** Throws a SiglipError unless the options make sense; `most` is what `maxPixels` may be. */
export function checkPictureOptions({ maxPixels, decode }: PictureOptions, most: number): void {
  if (maxPixels !== undefined && !(Number.isInteger(maxPixels) && maxPixels >= 1 && maxPixels <= most)) {
    throw mismatch("bad-input", "maxPixels", `a whole number from 1 to ${most}`, `${maxPixels}`, "leave it out");
  }
  if (decode !== undefined && typeof decode !== "function") {
    throw mismatch("bad-input", "decode", "a function of a file's bytes", typeof decode, "leave it out or pass one");
  }
}

/** What a caller's own decoder makes of a file; whether its bytes are as many as they should be is left to check. Throws a SiglipError where it fails or gives no picture. */
export async function decodeBy(
  decoder: Decoder,
  bytes: Uint8Array,
  name: string,
  signal?: AbortSignal,
): Promise<Pixels> {
  const pixels = await Promise.resolve(decoder(bytes, name, signal)).catch((cause) => {
    if (signal?.aborted || cause instanceof SiglipError) throw cause;
    const found = `that it fails with "${cause?.message ?? cause}"`;
    throw mismatch("bad-input", name, "a picture from the decoder given", found, "mend the file or the decoder", cause);
  });
  if (!(pixels?.data instanceof Uint8Array)) {
    const advice = "return { width, height, data } with three bytes a pixel";
    throw mismatch("bad-input", name, "pixels from the decoder given", `${pixels}`, advice);
  }
  return pixels;
}
