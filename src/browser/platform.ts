import { readBlob } from "../files/blob.ts";
import { orient, startsWith } from "../image/exif.ts";
import { checkPixels, type DecodeOptions, fromRgba, type Pixels } from "../image/pixels.ts";
import { PNG_SIGNATURE } from "../image/signatures.ts";
import type { Platform } from "../siglip/platform.ts";
import { mismatch, SiglipError, shorten } from "../support/error.ts";
import { concatenate } from "../support/numbers.ts";
import { readBitmap } from "./bitmap.ts";
import { checkHeaders } from "./headers.ts";

/**
 * A picture: a URL (a string may be relative to the page), a picture file as Blob, File or bytes, whatever the platform can draw
 * (ImageBitmap, ImageData, `<img>`, `<canvas>`, OffscreenCanvas, `<video>`, VideoFrame), or pixels (RGB, three bytes each). A
 * file gives the same pixels everywhere; what a canvas holds under transparency, and what an ImageBitmap's maker converted,
 * was lost before it came here.
 */
export type BrowserImage =
  | string
  | URL
  | Uint8Array
  | ArrayBuffer
  | Blob
  | HTMLImageElement
  | SVGImageElement
  | HTMLVideoElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | ImageBitmap
  | ImageData
  | VideoFrame
  | Pixels;

/** A picture file is at most this large, in bytes. */
const FILE_LIMIT = 512 * 2 ** 20;

/** The samples as the file has them, turned upright: no profile is applied and no colour multiplied by alpha. */
const EXACT: ImageBitmapOptions = {
  premultiplyAlpha: "none",
  colorSpaceConversion: "none",
  imageOrientation: "from-image",
};

/** Pages and workers. */
export const browserPlatform: Platform<BrowserImage> = {
  // Pixels are read and resized in the page's own thread: several at once gain nothing, and leave the page no turns.
  atOnce: 1,
  async gpu() {
    return globalThis.navigator?.gpu;
  },
  chosenForms: async (adapter) => (await import("./storage/chosen-forms.ts")).keptForms(adapter),
  // A chunk of its own: pages with a GPU need no threads.
  threads: async () => (await import("./threads.ts")).browserThreads(),
  keep: async (files, options) => (await import("./storage/cache.ts")).keepFiles(files, options),
  withoutGpu: () => "use a browser and a page (https) with WebGPU",
  async decode(image, options = {}) {
    try {
      return await decode(image, options);
    } catch (cause) {
      if (cause instanceof SiglipError || options.signal?.aborted) throw cause;
      const found = `"${(cause as Error).message}"`;
      throw mismatch("out-of-memory", "a picture", "to decode it", found, "free memory or scale it down", cause);
    }
  },
};

async function decode(image: BrowserImage, options: DecodeOptions): Promise<Pixels> {
  if (typeof image === "string" || image instanceof URL) {
    return decodeFile(await fetchPicture(image, options.signal), shorten(image), options);
  }
  if (image instanceof ArrayBuffer) return decodeFile(new Uint8Array(image), "the picture", options);
  if (image instanceof Uint8Array) return decodeFile(image, "the picture", options);
  if (image instanceof Blob) return decodeBlob(image, options);
  if (typeof image === "object" && image !== null && "data" in image) {
    if (image.data instanceof Uint8Array) {
      return checkPixels(image as Pixels, "the picture");
    }
    if (image.data instanceof Uint8ClampedArray) return fromRgba(image.data, image.width, image.height);
  }
  return decodeDrawable(image as ImageBitmapSource, options);
}

async function fetchPicture(address: string | URL, signal?: AbortSignal): Promise<Uint8Array> {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (!URL.canParse(address, base)) {
    throw mismatch("bad-input", "the picture", "a URL", JSON.stringify(shorten(address)), "correct it");
  }
  const { fetchBytes } = await import("../network/request.ts");
  return fetchBytes(new URL(address, base), { wanted: "a picture", limit: FILE_LIMIT, cache: "default", signal });
}

async function decodeBlob(file: Blob, options: DecodeOptions): Promise<Pixels> {
  const name = "name" in file ? shorten(String(file.name)) : "the picture";
  if (file.size > FILE_LIMIT) {
    throw mismatch("bad-input", name, `a picture of at most ${FILE_LIMIT} bytes`, `${file.size}`, "choose another");
  }
  return decodeFile(await readBlob(file, name), name, options);
}

/** PNGs are decoded here, JPEGs checked beforehand: both equal what Node decodes. Other kinds are what this browser makes of them. */
async function decodeFile(bytes: Uint8Array, name: string, options: DecodeOptions): Promise<Pixels> {
  if (options.decode)
    return (await import("../image/own-decoder.ts")).decodeBy(options.decode, bytes, name, options.signal);
  // A chunk of its own: photographs need none of it.
  if (startsWith(bytes, PNG_SIGNATURE)) return (await import("../image/png.ts")).decodePng(bytes, name, options);
  const { parts, orientation, unusual } = checkHeaders(bytes, name, options.maxPixels);
  // A copy, for a Blob refuses memory shared with a worker; and one, for Firefox tells the kind by a Blob's first part alone.
  const blob = new Blob([concatenate(parts)]);
  const bitmap = await createImageBitmap(blob, EXACT).catch((cause: Error) => {
    const found = unusual ?? `${bytes.length} bytes that it refuses (${cause.message})`;
    throw mismatch(
      unusual ? "unsupported" : "bad-input",
      name,
      "a picture that this browser decodes",
      found,
      "convert it to PNG or JPEG",
      cause,
    );
  });
  return orient(await readAndClose(bitmap, name, options), orientation);
}

async function decodeDrawable(image: ImageBitmapSource, options: DecodeOptions): Promise<Pixels> {
  try {
    if (typeof HTMLImageElement !== "undefined" && image instanceof HTMLImageElement) await image.decode();
    const bitmap = await createImageBitmap(image, EXACT);
    return await readAndClose(bitmap, "the picture", options);
  } catch (cause) {
    if (cause instanceof SiglipError || options.signal?.aborted) throw cause;
    const kind = image === null ? "null" : typeof image === "object" ? image.constructor?.name : typeof image;
    const wanted = "a URL, bytes, Blob, ImageBitmap, ImageData, img, canvas, video, VideoFrame or pixels";
    const found = `${kind} (${(cause as Error).message})`;
    throw mismatch("bad-input", "a picture", wanted, found, "pass one of these, loaded and not closed", cause);
  }
}

async function readAndClose(bitmap: ImageBitmap, name: string, options: DecodeOptions): Promise<Pixels> {
  try {
    return await readBitmap(bitmap, name, options);
  } finally {
    bitmap.close();
  }
}
