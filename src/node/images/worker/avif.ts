import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { damaged } from "../../../image/damaged.ts";
import { orient } from "../../../image/exif.ts";
import { readHeifBoxes } from "../../../image/heif-boxes.ts";
import { checkSize, fromRgba, type Pixels } from "../../../image/pixels.ts";
import { KEPT_HEAP, type Kept, keep } from "./codec.ts";
import { PlainImageData } from "./plain-image-data.ts";

/** The parts of the Emscripten module that are used here. */
interface Codec {
  decode(bytes: Uint8Array, bits: number): PlainImageData | null;
  readonly HEAPU8: Uint8Array;
}

let program: Kept<WebAssembly.Module> | undefined;
let codec: Kept<Codec> | undefined;

/** Loads what @jsquash/avif has for its users' bundlers, which fetch the WebAssembly beside it. */
async function load(script: string): Promise<Codec> {
  const { default: make } = createRequire(script)(script);
  program ??= keep(() => WebAssembly.compile(readFileSync(script.replace(/js$/, "wasm"))));
  const compiled = await program.get();
  Object.assign(globalThis, { ImageData: PlainImageData });
  return make({
    noInitialRun: true,
    print() {},
    printErr() {},
    instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) {
      const instance = new WebAssembly.Instance(compiled, imports);
      done(instance);
      return instance.exports;
    },
  });
}

/**
 * An AVIF by libavif and dav1d, turned as its boxes say: of several pictures the first, alpha dropped. Colours differ from PIL's,
 * whose libyuv rounds otherwise, by 0.4 levels of 255 on average and by up to 6 in noise; greys are PIL's. `script` is @jsquash/avif's decoder. Throws a SiglipError for what is damaged
 * or truncated.
 */
export async function decodeAvif(bytes: Uint8Array, name: string, maxPixels: number, script: string): Promise<Pixels> {
  const { sizes, orientation } = readHeifBoxes(bytes, "AVIF", name);
  for (const { width, height } of sizes) checkSize(width, height, name, maxPixels);
  codec ??= keep(() => load(script));
  const found = await run(await codec.get(), bytes);
  if (!found) throw damaged("AVIF", name, "a picture that libavif reads", "that it gives up");
  return orient(fromRgba(found.data, found.width, found.height), orientation);
}

async function run(module: Codec, bytes: Uint8Array): Promise<PlainImageData | null> {
  try {
    const found = module.decode(bytes, 8);
    if (!found || module.HEAPU8?.length > KEPT_HEAP) codec!.drop();
    return found;
  } catch (cause) {
    codec!.drop();
    // What C++ throws comes as a number.
    if (typeof cause === "number" || cause instanceof WebAssembly.RuntimeError) return null;
    throw cause;
  }
}
