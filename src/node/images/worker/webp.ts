import { damaged } from "../../../image/damaged.ts";
import { orient } from "../../../image/exif.ts";
import { fromRgba, type Pixels } from "../../../image/pixels.ts";
import { readWebP } from "../../../image/webp-chunks.ts";
import { instantiate, KEPT_HEAP, keep } from "./codec.ts";
import { compile } from "./compile.ts";
import { PlainImageData } from "./plain-image-data.ts";
import * as embedded from "./webp.generated.ts";

/** The parts of the Emscripten module that are used here. */
interface Codec {
  decode(bytes: Uint8Array): PlainImageData | null;
  readonly HEAPU8: Uint8Array;
}

const program = keep(() => compile(embedded));
const codec = keep(async () => {
  const globals = { ImageData: PlainImageData, Uint8ClampedArray };
  return (await instantiate(embedded, await program.get(), globals, () => {})) as Codec;
});

/**
 * A WebP as PIL's `convert("RGB")` gives it, by libwebp: lossy or lossless, alpha dropped, of an animation the first frame on its
 * canvas. Throws a SiglipError for what is damaged or truncated. Memory: besides the file at most 15 bytes a pixel.
 */
export async function decodeWebP(bytes: Uint8Array, name: string, maxPixels: number): Promise<Pixels> {
  const { width, height, orientation, still, frame } = readWebP(bytes, name, maxPixels);
  const found = await run(still);
  if (!found || (!frame && (found.width !== width || found.height !== height))) {
    throw damaged("WebP", name, "a picture that libwebp reads", "that it gives up");
  }
  const pixels = fromRgba(found.data, found.width, found.height);
  if (!frame) return orient(pixels, orientation);
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < pixels.height; y++) {
    const row = pixels.data.subarray(3 * y * pixels.width, 3 * (y + 1) * pixels.width);
    data.set(row, 3 * ((frame.y + y) * width + frame.x));
  }
  return orient({ width, height, data }, orientation);
}

async function run(bytes: Uint8Array): Promise<PlainImageData | null> {
  const module = await codec.get();
  try {
    const found = module.decode(bytes);
    if (!found || module.HEAPU8.length > KEPT_HEAP) codec.drop();
    return found;
  } catch (cause) {
    codec.drop();
    if (cause instanceof WebAssembly.RuntimeError) return null;
    throw cause;
  }
}
