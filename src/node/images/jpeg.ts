import { orient } from "../../image/exif.ts";
import { broken, readMarkers, truncated } from "../../image/jpeg-markers.ts";
import { fromRgba, type Pixels } from "../../image/pixels.ts";
import { SiglipError } from "../../support/error.ts";
import { type Decoded, libjpeg } from "./libjpeg.ts";

/**
 * Decodes a JPEG to PIL's `convert("RGB")` to the bit: baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK by libjpeg; EXIF turns
 * the picture, what follows the end marker is ignored. Throws a SiglipError for a truncated file, as PIL does, and for what libjpeg
 * refuses. Memory: besides the file at most 22 bytes a pixel, and no more pixels than 1024 times the file's bytes.
 */
export async function decodeJpeg(bytes: Uint8Array, name: string): Promise<Pixels> {
  const { channels, orientation } = readMarkers(bytes, name);
  let image: Decoded;
  try {
    image = await libjpeg(bytes, channels === 4 ? "cmyk" : "rgba");
  } catch (cause) {
    if (cause instanceof SiglipError) throw cause;
    throw broken(name, `a JPEG that libjpeg reads but it says "${(cause as Error).message}"`);
  }
  if (image.warning === "Premature end of JPEG file") throw truncated(name, bytes);
  if (channels === 4) inkToLight(image.data);
  return orient(fromRgba(image.data, image.width, image.height), orientation);
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
