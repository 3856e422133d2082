import { instantiate, KEPT_HEAP, keep } from "./codec.ts";
import { compile } from "./compile.ts";
import * as embedded from "./libjpeg-turbo.generated.ts";

/** What libjpeg-turbo made of a file. */
export interface Turbo {
  readonly width: number;
  readonly height: number;
  /** RGB, or one byte a pixel of grey. */
  readonly data: Uint8ClampedArray;
  /** Whether it met nothing to warn of. Where it did, the pixels may be what PIL gives, or nothing at all. */
  readonly sound: boolean;
}

/** The parts of the Emscripten module that are used here. */
interface Codec {
  readonly JPEGDecoder: new () => Decoder;
  readonly HEAPU8: Uint8Array;
}

interface Decoder {
  /** Room in the codec's memory for the file. */
  getEncodedBuffer(length: number): Uint8Array;
  /** Throws a number where the library fails and where it only warns. */
  decode(): void;
  /** A copy. */
  getDecodedBuffer(): Uint8ClampedArray;
  getFrameInfo(): { readonly width: number; readonly height: number };
  delete(): void;
}

const program = keep(() => compile(embedded));
const codec = keep(
  async () => (await instantiate(embedded, await program.get(), { Uint8ClampedArray }, () => {})) as Codec,
);

/** Runs libjpeg-turbo on a whole JPEG file, without turning it; undefined where it makes no picture of it, CMYK and mixed sampling included. */
export async function libjpegTurbo(bytes: Uint8Array): Promise<Turbo | undefined> {
  const module = await codec.get();
  const decoder = new module.JPEGDecoder();
  let sound = false;
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    sound = true;
  } catch (cause) {
    // A number is a C++ exception, whose text is out of reach; anything else is the codec's end.
    if (typeof cause !== "number") {
      codec.drop();
      throw cause;
    }
  }
  const { width, height } = decoder.getFrameInfo();
  const data = decoder.getDecodedBuffer();
  decoder.delete();
  if (module.HEAPU8.length > KEPT_HEAP) codec.drop();
  return data.length > 0 ? { width, height, data, sound } : undefined;
}
