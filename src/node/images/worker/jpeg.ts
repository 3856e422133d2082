import { orient } from "../../../image/exif.ts";
import { broken, LOOKAHEAD, readMarkers, truncated } from "../../../image/jpeg-markers.ts";
import { fromRgba, type Pixels } from "../../../image/pixels.ts";
import { libjpegTurbo, type Turbo } from "./libjpeg-turbo.ts";
import { type Decoded, mozjpeg } from "./mozjpeg.ts";

/**
 * Decodes a JPEG to PIL's `convert("RGB")` to the bit: grey, YCbCr and RGB by libjpeg-turbo, CMYK, YCCK and mixed sampling by mozjpeg;
 * EXIF and XMP turn the picture; what follows the pixels of a picture in one scan, and the end marker, is ignored. Throws a SiglipError
 * for a truncated file, as PIL does, and for what the decoders refuse. Memory: besides the file at most 22 bytes a pixel, and no more
 * pixels than 1024 times the file's bytes.
 */
export async function decodeJpeg(bytes: Uint8Array, name: string, maxPixels: number): Promise<Pixels> {
  const { channels, orientation, end, closed } = readMarkers(bytes, name, maxPixels);
  // What follows is nothing that PIL looks at; turbojpeg would warn of it.
  const whole = new Uint8Array(end + 2);
  whole.set(bytes.subarray(0, end));
  whole.set([0xff, 0xd9], end);
  const old = async (format: "rgba" | "cmyk") => {
    const image = await mozjpeg(whole, format);
    if (typeof image === "string") throw broken(name, "a JPEG that libjpeg reads", `that it says "${image}"`);
    if (!closed && !(extraneous(image.warning) >= LOOKAHEAD)) throw truncated(name, bytes);
    return image;
  };
  const pixels = channels === 4 ? await decodeInk(old) : await decodeLight(whole, closed, old);
  return orient(pixels, orientation);
}

/** How many bytes libjpeg says it passed over before the end marker. */
function extraneous(warning: string): number {
  return Number(/^Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9/.exec(warning)?.[1]);
}

type Old = (format: "rgba" | "cmyk") => Promise<Decoded>;

async function decodeLight(bytes: Uint8Array, closed: boolean, old: Old): Promise<Pixels> {
  const turbo = await libjpegTurbo(bytes);
  if (turbo?.sound && closed) return fromTurbo(turbo);
  // It warned or gave up and does not say of what; PIL looks away from warnings.
  const second = await old("rgba");
  return turbo ? fromTurbo(turbo) : fromRgba(second.data, second.width, second.height);
}

async function decodeInk(old: Old): Promise<Pixels> {
  const { data, width, height } = await old("cmyk");
  inkToLight(data);
  return fromRgba(data, width, height);
}

function fromTurbo({ width, height, data }: Turbo): Pixels {
  const area = width * height;
  if (data.length === 3 * area) return { width, height, data: new Uint8Array(data.buffer) };
  const rgb = new Uint8Array(3 * area);
  for (let i = 0, o = 0; i < area; i++) {
    const grey = data[i];
    rgb[o++] = grey;
    rgb[o++] = grey;
    rgb[o++] = grey;
  }
  return { width, height, data: rgb };
}

/** Inverted CMYK, as every program writes it, to RGB in place, with the rounding of PIL's `convert` (src/libImaging/Convert.c). */
function inkToLight(data: Uint8ClampedArray): void {
  for (let i = 0; i < data.length; i += 4) {
    const black = data[i + 3];
    for (let c = i; c < i + 3; c++) {
      const product = (255 - data[c]) * black + 128;
      data[c] = black - ((product + (product >> 8)) >> 8);
    }
  }
}
