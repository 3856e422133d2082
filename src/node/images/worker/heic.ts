import { createRequire } from "node:module";
import { damaged } from "../../../image/damaged.ts";
import { readHeifBoxes } from "../../../image/heif-boxes.ts";
import { checkSize, fromRgba, type Pixels } from "../../../image/pixels.ts";
import { type Kept, keep } from "./codec.ts";

/** What calls of libheif give where they fail. */
interface Failure {
  readonly code?: unknown;
  readonly message?: string;
}

/** A plane of pixels. */
interface Plane {
  readonly id: unknown;
  readonly width: number;
  readonly height: number;
  readonly stride: number;
  readonly data: Uint8Array;
}

/** The parts of libheif-js that are used here. */
interface Codec {
  heif_context_alloc(): object;
  heif_context_free(context: object): void;
  heif_context_read_from_memory(context: object, bytes: Uint8Array): Failure;
  heif_js_context_get_primary_image_handle(context: object): Failure & object;
  heif_image_handle_get_width(handle: object): number;
  heif_image_handle_get_height(handle: object): number;
  heif_image_handle_release(handle: object): void;
  heif_js_decode_image2(
    handle: object,
    space: unknown,
    chroma: unknown,
  ): Promise<Failure & { readonly image: object; readonly channels: readonly Plane[] }>;
  heif_image_release(image: object): void;
  readonly heif_error_code: { readonly heif_error_Ok: unknown };
  readonly heif_colorspace: { readonly heif_colorspace_RGB: unknown };
  readonly heif_chroma: { readonly heif_chroma_interleaved_RGBA: unknown };
  readonly heif_channel: { readonly heif_channel_interleaved: unknown };
}

let codec: Kept<Codec> | undefined;

/**
 * The main picture of a HEIC by libheif, which turns it as its boxes say; alpha is dropped. `script` is that of libheif-js. Throws a
 * SiglipError for what is damaged or truncated.
 */
export async function decodeHeic(bytes: Uint8Array, name: string, maxPixels: number, script: string): Promise<Pixels> {
  for (const { width, height } of readHeifBoxes(bytes, "HEIC", name).sizes) checkSize(width, height, name, maxPixels);
  codec ??= keep(async () => createRequire(script)(script)({ print() {}, printErr() {} }));
  const module = await codec.get();
  const gives = (failure: Failure | undefined) =>
    damaged("HEIC", name, "a picture that libheif reads", `that it says "${failure?.message ?? "no"}"`);
  const context = module.heif_context_alloc();
  try {
    const read = module.heif_context_read_from_memory(context, bytes);
    if (read.code !== module.heif_error_code.heif_error_Ok) throw gives(read);
    const handle = module.heif_js_context_get_primary_image_handle(context);
    if (!handle || handle.code) throw gives(handle);
    try {
      const width = module.heif_image_handle_get_width(handle);
      const height = module.heif_image_handle_get_height(handle);
      checkSize(width, height, name, maxPixels);
      const { heif_colorspace_RGB: space } = module.heif_colorspace;
      const { heif_chroma_interleaved_RGBA: chroma } = module.heif_chroma;
      const decoded = await module.heif_js_decode_image2(handle, space, chroma);
      if (!decoded || decoded.code) throw gives(decoded);
      const plane = decoded.channels.find(({ id }) => id === module.heif_channel.heif_channel_interleaved);
      if (!plane) throw gives({ message: "no colours" });
      const rgba = new Uint8Array(4 * plane.width * plane.height);
      for (let y = 0; y < plane.height; y++) {
        const row = plane.data.subarray(y * plane.stride, y * plane.stride + 4 * plane.width);
        rgba.set(row, 4 * y * plane.width);
      }
      module.heif_image_release(decoded.image);
      return fromRgba(rgba, plane.width, plane.height);
    } finally {
      module.heif_image_handle_release(handle);
    }
  } catch (cause) {
    // After a trap nothing in its memory can be relied on.
    if (cause instanceof WebAssembly.RuntimeError || typeof cause === "number") {
      codec.drop();
      throw gives({ message: String(cause) });
    }
    throw cause;
  } finally {
    try {
      module.heif_context_free(context);
    } catch {
      codec.drop();
    }
  }
}
