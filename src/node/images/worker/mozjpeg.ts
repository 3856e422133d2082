import { instantiate, KEPT_HEAP, type Kept, keep } from "./codec.ts";
import { compile } from "./compile.ts";
import * as embedded from "./mozjpeg.generated.ts";
import { PlainImageData } from "./plain-image-data.ts";

/** What mozjpeg made of a file: four bytes a pixel, RGBA or CMYK, row-major; `warning` is the first it gave, "" for none. */
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

type Format = "rgba" | "cmyk";

const codecs: Readonly<Record<Format, Kept<Codec>>> = { rgba: codec("rgba"), cmyk: codec("cmyk") };

/**
 * Runs mozjpeg on a whole JPEG file without turning it: for what libjpeg-turbo's own wrapper does not do, CMYK and mixed sampling, and
 * to learn what is the matter with a file, which that wrapper keeps to itself. Where the library gives up, its message is what comes
 * back; a truncated or corrupt file may come back with no more than a warning.
 */
export async function mozjpeg(bytes: Uint8Array, format: Format): Promise<Decoded | string> {
  const codec = await codecs[format].get();
  codec.lines.length = 0;
  try {
    const image = codec.decode(bytes, false);
    if (!image) throw new Error("no image");
    if (codec.HEAPU8.length > KEPT_HEAP) codecs[format].drop();
    return { data: image.data, width: image.width, height: image.height, warning: codec.lines[0] ?? "" };
  } catch (cause) {
    // The library gave up through exit() and has freed nothing.
    codecs[format].drop();
    return codec.lines.at(-1) ?? String(cause);
  }
}

function codec(format: Format): Kept<Codec> {
  const program = keep(() => compile(embedded, format === "cmyk" ? askForCmyk : undefined));
  return keep(async () => {
    const lines: string[] = [];
    // The codec makes a browser's ImageData, which Node lacks.
    const globals = { ImageData: PlainImageData, Uint8ClampedArray };
    const module = await instantiate(embedded, await program.get(), globals, (line) => lines.push(line));
    return Object.assign(module as Codec, { lines });
  });
}

/**
 * libjpeg decodes CMYK and YCCK to CMYK and to nothing else, and the package's wrapper always asks for RGBA: `cinfo.out_color_space =
 * JCS_EXT_RGBA`, 12. Here that constant becomes JCS_CMYK, 4, which has four bytes a pixel too.
 */
function askForCmyk(program: Buffer): void {
  const store = Buffer.from([0x41, 12, 0x36, 0x02, 0xbc, 0x01]); // i32.const 12; i32.store offset=188
  const at = program.indexOf(store);
  if (at < 0 || program.indexOf(store, at + 1) >= 0) throw new Error("another version of mozjpeg");
  program[at + 1] = 4;
}
