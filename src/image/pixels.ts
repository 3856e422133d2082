import { mismatch } from "../support/error.ts";

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

/** Gives the pixels back; throws a SiglipError unless they have a size within the limits and exactly the bytes they claim. */
export function checkPixels(pixels: Pixels, what: string): Pixels {
  const { width, height, data } = pixels;
  checkSize(width, height, what);
  if (data.length !== 3 * width * height) {
    const wanted = `${3 * width * height} bytes of RGB for ${width} x ${height} pixels`;
    throw mismatch("bad-input", what, wanted, `${data.length}`, "pass three bytes a pixel");
  }
  return pixels;
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
