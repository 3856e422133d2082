import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import mozjpeg from "@jsquash/jpeg/codec/dec/mozjpeg_dec.js";
import { SiglipError } from "../../support/error.ts";

/** What libjpeg made of a file: four bytes a pixel, RGBA or CMYK, row-major; `warning` is the first it gave, "" for none. */
export interface Decoded {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly warning: string;
}

/** The parts of the Emscripten module that are used here, and the lines it printed. */
interface Codec {
  decode(bytes: Uint8Array, turn: boolean): Omit<Decoded, "warning"> | null;
  readonly HEAPU8: Uint8Array;
  readonly lines: string[];
}

/** A codec whose heap has grown past this is dropped after use: WebAssembly memory never shrinks. */
const KEPT_HEAP = 128 << 20;

type Format = "rgba" | "cmyk";

const programs = new Map<Format, Promise<WebAssembly.Module>>();
const codecs = new Map<Format, Promise<Codec>>();

/**
 * Runs libjpeg (`@jsquash/jpeg`, loaded at the first call) on a whole JPEG file without turning it. Throws an Error with libjpeg's message
 * where it gives up, a SiglipError where it cannot be loaded; a truncated or corrupt file may come back with no more than a warning.
 */
export async function libjpeg(bytes: Uint8Array, format: Format): Promise<Decoded> {
  const loading = codecs.get(format) ?? load(format);
  codecs.set(format, loading);
  const codec = await loading;
  codec.lines.length = 0;
  try {
    const image = withImageData(() => codec.decode(bytes, false));
    if (!image) throw new Error("no image");
    if (codec.HEAPU8.length > KEPT_HEAP) codecs.delete(format);
    return { data: image.data, width: image.width, height: image.height, warning: codec.lines[0] ?? "" };
  } catch (cause) {
    // libjpeg gave up through exit() and has freed nothing.
    codecs.delete(format);
    throw new Error(codec.lines.at(-1) ?? String(cause), { cause });
  }
}

async function load(format: Format): Promise<Codec> {
  const compiling = programs.get(format) ?? compile(format);
  programs.set(format, compiling);
  const program = await compiling;
  const lines: string[] = [];
  const options = {
    noInitialRun: true,
    printErr: (line: string) => lines.push(line),
    instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) {
      const instance = new WebAssembly.Instance(program, imports);
      done(instance);
      return instance.exports;
    },
  };
  const module = await withImageData(() => (mozjpeg as (options: object) => Promise<Codec>)(options));
  return Object.assign(module, { lines });
}

async function compile(format: Format): Promise<WebAssembly.Module> {
  try {
    const file = await readFile(createRequire(import.meta.url).resolve("@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm"));
    return await WebAssembly.compile(new Uint8Array(format === "cmyk" ? askForCmyk(file) : file));
  } catch (cause) {
    throw new SiglipError(
      `wanted the JPEG decoder of the package @jsquash/jpeg 1.6.0 but met "${(cause as Error).message}"; install the dependencies again.`,
      { cause },
    );
  }
}

/**
 * libjpeg decodes CMYK and YCCK to CMYK and to nothing else, and the package's wrapper always asks for RGBA: `cinfo.out_color_space =
 * JCS_EXT_RGBA`, 12. Here that constant becomes JCS_CMYK, 4, which has four bytes a pixel too.
 */
function askForCmyk(program: Buffer): Buffer {
  const store = Buffer.from([0x41, 12, 0x36, 0x02, 0xbc, 0x01]); // i32.const 12; i32.store offset=188
  const at = program.indexOf(store);
  if (at < 0 || program.indexOf(store, at + 1) >= 0) throw new Error("another version");
  const patched = Buffer.from(program);
  patched[at + 1] = 4;
  return patched;
}

class PlainImageData {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  constructor(data: Uint8ClampedArray, width: number, height: number) {
    this.data = data;
    this.width = width;
    this.height = height;
  }
}

/** The codec makes a browser's ImageData; Node has none, and one left behind would make other code believe in a browser. */
function withImageData<R>(body: () => R): R {
  const before = Object.getOwnPropertyDescriptor(globalThis, "ImageData");
  Object.defineProperty(globalThis, "ImageData", { value: PlainImageData, configurable: true, writable: true });
  try {
    return body();
  } finally {
    if (before) Object.defineProperty(globalThis, "ImageData", before);
    else Reflect.deleteProperty(globalThis, "ImageData");
  }
}
