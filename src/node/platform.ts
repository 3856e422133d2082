import { setMaxListeners } from "node:events";
import { checkPixels, type DecodeOptions, type Pixels } from "../image/pixels.ts";
import { fetchBytes } from "../network/request.ts";
import type { Platform } from "../siglip/platform.ts";
import { mismatch, shorten } from "../support/error.ts";
import { asUrl } from "./address.ts";
import { keptForms } from "./cache/chosen-forms.ts";
import { filePath, readFile } from "./file.ts";
import { findGpu } from "./gpu.ts";
import { decode, prepare, preparePixels } from "./images/decode.ts";
import { proxiedFetch } from "./proxy.ts";
import { nodeThreads } from "./threads.ts";

/** A picture: a path or URL, the bytes of a picture file, a Blob of them, or pixels (RGB, three bytes each). */
export type NodeImage = string | URL | Uint8Array | ArrayBuffer | Blob | Pixels;

/** A picture file is at most this large, in bytes. */
const FILE_LIMIT = 512 * 2 ** 20;

/** So many that four threads never lack a picture to decode, and few enough that their files need little memory. */
const AT_ONCE = 16;

/** Node, Deno and Bun. */
export const nodePlatform: Platform<NodeImage> = {
  gpu: findGpu,
  chosenForms: keptForms,
  threads: nodeThreads,
  atOnce: AT_ONCE,
  withoutGpu(gpu) {
    if (gpu) return "install a graphics driver";
    return "Bun" in globalThis ? "run this in Node or Deno" : "install the npm package webgpu and a graphics driver";
  },
  async decode(image, options = {}) {
    const found = await read(image, options);
    return "bytes" in found ? decode(found.bytes, found.name, options) : found;
  },
  async prepare(image, recipe, options) {
    // Each picture listens, and so does what fetches it; Node takes more than ten listeners for a leak.
    if (options.signal) setMaxListeners(4 * AT_ONCE, options.signal);
    const found = await read(image, options);
    if (!("bytes" in found)) return preparePixels(found, recipe, options.signal);
    return prepare(found.bytes, found.name, recipe, options);
  },
};

/** A picture file's bytes and name, or pixels. */
async function read(
  image: NodeImage,
  { signal }: DecodeOptions,
): Promise<{ readonly bytes: Uint8Array; readonly name?: string } | Pixels> {
  if (typeof image === "string" || image instanceof URL) {
    return { bytes: await readAnywhere(image, signal), name: shorten(image) };
  }
  if (image instanceof Uint8Array) return { bytes: image };
  if (image instanceof ArrayBuffer) return { bytes: new Uint8Array(image) };
  if (image instanceof Blob) {
    const name = "name" in image ? String(image.name) : undefined;
    return { bytes: new Uint8Array(await image.arrayBuffer()), name };
  }
  if (typeof image === "object" && image !== null && image.data instanceof Uint8Array) {
    return checkPixels(image, "the picture");
  }
  const found = image === null ? "null" : typeof image;
  throw mismatch("bad-input", "a picture", "a path, URL, bytes, Blob or pixels", found, "pass one of these");
}

async function readAnywhere(place: string | URL, signal?: AbortSignal): Promise<Uint8Array> {
  const url = asUrl(place);
  if (!url || url.protocol === "file:") return readFile(url ? filePath(url) : (place as string), FILE_LIMIT, signal);
  return fetchBytes(url, { wanted: "a picture", limit: FILE_LIMIT, fetch: proxiedFetch, signal });
}
