import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { crc32, deflateSync } from "node:zlib";
import type { Pixels } from "../../src/image/pixels.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export const IMAGES = here("../fixtures/images");

/** Folder that holds `images/borrowed`, which is never copied here; undefined where it is absent. */
export function borrowedImages(): string | undefined {
  const folder = `${process.env.SIGLIP_BORROWED ?? here("../../../shared/fixtures")}/images`;
  return existsSync(`${folder}/borrowed`) ? folder : undefined;
}

/** A picture that follows from its size: gradients with noise. Expected hashes elsewhere are of PIL's work on the same bytes. */
export function synthetic(width: number, height: number): Pixels {
  const data = new Uint8Array(3 * width * height);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++, i++) data[i] = (x >> 4) + (y >> 4) * (c + 1) + (Math.imul(i, 2654435761) >>> 28);
    }
  }
  return { width, height, data };
}

/** A PNG chunk with its length and checksum. */
export function chunk(type: string, body: Uint8Array = new Uint8Array(0)): Buffer {
  const out = Buffer.alloc(12 + body.length);
  out.writeUInt32BE(body.length);
  out.write(type, 4, "latin1");
  out.set(body, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}

export interface PngParts {
  readonly width: number;
  readonly height: number;
  readonly depth?: number;
  readonly colourType?: number;
  readonly interlace?: number;
  /** Compressed pixels, each entry an IDAT chunk. */
  readonly idat: readonly Uint8Array[];
  /** Chunks between IHDR and IDAT, and between IDAT and IEND. */
  readonly before?: readonly Uint8Array[];
  readonly after?: readonly Uint8Array[];
}

/** A PNG out of whatever is given, right or wrong. Defaults: 8 bits, RGB, not interlaced. */
export function png(parts: PngParts): Buffer {
  const { width, height, depth = 8, colourType = 2, interlace = 0, idat, before = [], after = [] } = parts;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header.set([depth, colourType, 0, 0, interlace], 8);
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  const pixels = idat.map((body) => chunk("IDAT", body));
  return Buffer.concat([signature, chunk("IHDR", header), ...before, ...pixels, ...after, chunk("IEND")]);
}

/** An 8-bit RGB PNG of `pixels`, rows unfiltered. */
export function rgbPng({ width, height, data }: Pixels, extra: Partial<PngParts> = {}): Buffer {
  const rows = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0; y < height; y++) {
    rows.set(data.subarray(3 * width * y, 3 * width * (y + 1)), y * (1 + 3 * width) + 1);
  }
  return png({ width, height, idat: [deflateSync(rows)], ...extra });
}

/** An EXIF block that says nothing but an orientation. */
export function exif(orientation: number, little = true): Buffer {
  const out = Buffer.alloc(26);
  const short = (value: number, at: number) => (little ? out.writeUInt16LE(value, at) : out.writeUInt16BE(value, at));
  const long = (value: number, at: number) => (little ? out.writeUInt32LE(value, at) : out.writeUInt32BE(value, at));
  out.write(little ? "II" : "MM", "latin1");
  short(42, 2);
  long(8, 4);
  short(1, 8);
  short(0x0112, 10);
  short(3, 12);
  long(1, 14);
  short(orientation, 18);
  return out;
}

/** A JPEG with a marker segment put in after its first two bytes. */
export function withSegment(jpeg: Uint8Array, marker: number, body: Uint8Array): Buffer {
  const head = Buffer.from([0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255]);
  return Buffer.concat([jpeg.subarray(0, 2), head, body, jpeg.subarray(2)]);
}
