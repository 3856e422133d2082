import { orient } from "../../image/exif.ts";
import { broken, readMarkers, truncated } from "../../image/jpeg-markers.ts";
import { fromRgba, type Pixels } from "../../image/pixels.ts";
import { libjpegTurbo, type Turbo } from "./libjpeg-turbo.ts";
import { type Decoded, mozjpeg } from "./mozjpeg.ts";

/**
 * Decodes a JPEG to PIL's `convert("RGB")` to the bit: grey, YCbCr and RGB by libjpeg-turbo, CMYK, YCCK and mixed sampling by mozjpeg;
 * EXIF turns the picture, what follows the end marker is ignored. Throws a SiglipError for a truncated file, as PIL does, and for what
 * the decoders refuse. Memory: besides the file at most 22 bytes a pixel, and no more pixels than 1024 times the file's bytes.
 */
export async function decodeJpeg(bytes: Uint8Array, name: string): Promise<Pixels> {
  const { channels, orientation } = readMarkers(bytes, name);
  const pixels = channels === 4 ? await decodeInk(bytes, name) : await decodeLight(bytes, name);
  return orient(pixels, orientation);
}

async function decodeLight(bytes: Uint8Array, name: string): Promise<Pixels> {
  const turbo = await libjpegTurbo(bytes);
  if (turbo?.sound) return fromTurbo(turbo);
  // It warned or gave up and does not say of what; PIL looks away from all warnings but one.
  const second = await decodeOld(bytes, "rgba", name);
  return turbo ? fromTurbo(turbo) : fromRgba(second.data, second.width, second.height);
}

async function decodeInk(bytes: Uint8Array, name: string): Promise<Pixels> {
  const { data, width, height } = await decodeOld(bytes, "cmyk", name);
  inkToLight(data);
  return fromRgba(data, width, height);
}

/** mozjpeg's picture; throws a SiglipError where it gives up and where the file ends too soon. */
async function decodeOld(bytes: Uint8Array, format: "rgba" | "cmyk", name: string): Promise<Decoded> {
  const image = await mozjpeg(bytes, format);
  if (typeof image === "string") throw broken(name, "a JPEG that libjpeg reads", `that it says "${image}"`);
  if (image.warning === "Premature end of JPEG file") throw truncated(name, bytes);
  return image;
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
