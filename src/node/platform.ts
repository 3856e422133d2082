import { checkPixels, type Pixels } from "../image/pixels.ts";
import { fetchBytes } from "../network/request.ts";
import type { Platform } from "../siglip/platform.ts";
import { mismatch, shorten } from "../support/error.ts";
import { asUrl } from "./address.ts";
import { keptForms } from "./cache/chosen-forms.ts";
import { filePath, readFile } from "./file.ts";
import { findGpu } from "./gpu.ts";
import { decode } from "./images/decode.ts";
import { proxiedFetch } from "./proxy.ts";
import { nodeThreads } from "./threads.ts";

/** A picture: a path or URL, the bytes of a PNG or JPEG file, a Blob of them, or pixels (RGB, three bytes each). */
export type NodeImage = string | URL | Uint8Array | ArrayBuffer | Blob | Pixels;

/** A picture file is at most this large, in bytes. */
const FILE_LIMIT = 512 * 2 ** 20;

/** Node, Deno and Bun. */
export const nodePlatform: Platform<NodeImage> = {
  gpu: findGpu,
  chosenForms: keptForms,
  threads: nodeThreads,
  withoutGpu(gpu) {
    if (gpu) return "install a graphics driver";
    return "Bun" in globalThis ? "run this in Node or Deno" : "install the npm package webgpu and a graphics driver";
  },
  async decode(image, options = {}) {
    if (typeof image === "string" || image instanceof URL) {
      return decode(await readAnywhere(image, options.signal), shorten(image), options);
    }
    if (image instanceof Uint8Array) return decode(image, undefined, options);
    if (image instanceof ArrayBuffer) return decode(new Uint8Array(image), undefined, options);
    if (image instanceof Blob) {
      const name = "name" in image ? String(image.name) : undefined;
      return decode(new Uint8Array(await image.arrayBuffer()), name, options);
    }
    if (typeof image === "object" && image !== null && image.data instanceof Uint8Array) {
      checkPixels(image, "the picture");
      return image;
    }
    const found = image === null ? "null" : typeof image;
    throw mismatch("bad-input", "a picture", "a path, URL, bytes, Blob or pixels", found, "pass one of these");
  },
};

async function readAnywhere(place: string | URL, signal?: AbortSignal): Promise<Uint8Array> {
  const url = asUrl(place);
  if (!url || url.protocol === "file:") return readFile(url ? filePath(url) : (place as string), FILE_LIMIT, signal);
  return fetchBytes(url, { wanted: "a picture", limit: FILE_LIMIT, fetch: proxiedFetch, signal });
}
