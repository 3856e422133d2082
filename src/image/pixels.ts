import { mismatch, SiglipError } from "../support/error.ts";

/** A decoded picture: 8-bit RGB, no alpha, already turned upright. */
export interface Pixels {
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
  /** Row-major, three bytes a pixel: `3 * width * height` in all. */
  readonly data: Uint8Array;
}

/** Most pixels of a picture: PIL's own refusal (2 * `MAX_IMAGE_PIXELS`), 512 MiB as RGB; the oracle reads nothing larger. */
export const MAX_PIXELS = 178_956_970;

/** Turns the bytes of a picture file into upright RGB pixels, whatever its kind; `name` is for messages. */
export type Decoder = (bytes: Uint8Array, name: string, signal?: AbortSignal) => Pixels | Promise<Pixels>;

/** How picture files become pixels. */
export interface PictureOptions {
  /** Most pixels of a picture: 178,956,970 by default, which is PIL's own limit and the highest. Larger ones are refused unread. */
  readonly maxPixels?: number;
  /** A decoder to use for picture files instead of those of this package, such as sharp. */
  readonly decode?: Decoder;
}

/** Options of decoding one picture. */
export interface DecodeOptions extends PictureOptions {
  /** Rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** Longest side in pixels, libpng's default: keeps the weights of a resize under 20 MB. JPEG ends at 65,500 by itself. */
export const MAX_SIDE = 1_000_000;

/** Throws a SiglipError unless `width` x `height` is a picture within the limits; call it before memory is taken. */
export function checkSize(width: number, height: number, what: string, maxPixels: number = MAX_PIXELS): void {
  for (const side of [width, height]) {
    if (!(Number.isInteger(side) && side >= 1 && side <= MAX_SIDE)) {
      const advice = "check the file or scale the picture";
      throw mismatch("bad-input", what, `sides of 1 to ${MAX_SIDE} pixels`, `${width} x ${height}`, advice);
    }
  }
  if (width * height > maxPixels) {
    const advice = "scale the picture down first";
    throw mismatch("bad-input", what, `at most ${maxPixels} pixels`, `${width} x ${height}`, advice);
  }
}

/** Throws a SiglipError unless the options make sense. */
export function checkPictureOptions({ maxPixels, decode }: PictureOptions): void {
  if (maxPixels !== undefined && !(Number.isInteger(maxPixels) && maxPixels >= 1 && maxPixels <= MAX_PIXELS)) {
    throw mismatch("bad-input", "maxPixels", `a whole number from 1 to ${MAX_PIXELS}`, `${maxPixels}`, "leave it out");
  }
  if (decode !== undefined && typeof decode !== "function") {
    throw mismatch("bad-input", "decode", "a function of a file's bytes", typeof decode, "leave it out or pass one");
  }
}

/** What a caller's own decoder makes of a file, checked. Throws a SiglipError where it fails or gives no picture. */
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
  checkPixels(pixels, name);
  return pixels;
}

/** Throws a SiglipError unless `pixels` has a size within the limits and exactly the bytes it claims. */
export function checkPixels({ width, height, data }: Pixels, what: string): void {
  checkSize(width, height, what);
  if (data.length !== 3 * width * height) {
    const wanted = `${3 * width * height} bytes of RGB for ${width} x ${height} pixels`;
    throw mismatch("bad-input", what, wanted, `${data.length}`, "pass three bytes a pixel");
  }
}

/** Drops the alpha of RGBA bytes (a canvas's, not premultiplied), as PIL's `convert("RGB")` does. */
export function fromRgba(rgba: Uint8Array | Uint8ClampedArray, width: number, height: number): Pixels {
  checkSize(width, height, "RGBA pixels");
  if (rgba.length !== 4 * width * height) {
    const wanted = `${4 * width * height} bytes for ${width} x ${height}`;
    throw mismatch("bad-input", "RGBA pixels", wanted, `${rgba.length}`, "pass four bytes a pixel");
  }
  const data = new Uint8Array(3 * width * height);
  for (let i = 0, o = 0; o < data.length; i += 4, o += 3) {
    data[o] = rgba[i];
    data[o + 1] = rgba[i + 1];
    data[o + 2] = rgba[i + 2];
  }
  return { width, height, data };
}
