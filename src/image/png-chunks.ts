import { mismatch, type SiglipError } from "../support/error.ts";
import { orientationOf, startsWith } from "./exif.ts";
import { checkSize } from "./pixels.ts";
import { readProfile, readText, type Text } from "./png-texts.ts";

/** Colour types of the PNG specification (third edition, 11.2.1): their samples a pixel and their bit depths. */
const COLOUR_TYPES = new Map([
  [0, { channels: 1, depths: [1, 2, 4, 8, 16] }],
  [2, { channels: 3, depths: [8, 16] }],
  [3, { channels: 1, depths: [1, 2, 4, 8] }],
  [4, { channels: 2, depths: [8, 16] }],
  [6, { channels: 4, depths: [8, 16] }],
]);

/** What the header of a PNG says. */
export interface PngHeader {
  readonly width: number;
  readonly height: number;
  /** Bits a sample. */
  readonly depth: number;
  readonly colourType: number;
  /** Samples a pixel. */
  readonly channels: number;
  readonly interlaced: boolean;
}

/** A PNG taken apart. */
export interface Png extends PngHeader {
  readonly palette?: Uint8Array;
  /** A zlib stream, or the beginning of one. */
  readonly deflated: Uint8Array;
  readonly orientation: number;
}

/**
 * Reads a PNG's chunks. As in PIL, every one up to the pixels must be whole and its checksum right; from there on pixels are
 * taken as they come, until another chunk or the file's end, and of what follows only what can be read.
 */
export async function readChunks(bytes: Uint8Array, name: string, maxPixels: number): Promise<Png> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let header: PngHeader | undefined;
  let palette: Uint8Array | undefined;
  let deflated: Uint8Array | undefined;
  let length = 0;
  let ended = false;
  const texts = new Texts();
  for (let at = 8; at + 8 <= bytes.length || !deflated; ) {
    if (at + 12 > bytes.length && !deflated) {
      throw brokenPng(name, "an IDAT chunk", `that the file ends at byte ${bytes.length}`);
    }
    const size = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 8 + size;
    const body = bytes.subarray(at + 8, end);
    if (type === "IDAT" && !ended) {
      if (!header) throw brokenPng(name, "one IHDR chunk, the first", '"IDAT"');
      deflated ??= new Uint8Array(bytes.length - at);
      deflated.set(body, length);
      length += body.length;
    } else if (deflated) {
      ended = true;
      if (type === "IEND" || !/^[a-zA-Z]{4}$/.test(type) || body.length < size) break;
      texts.add(type, body);
    } else {
      checkChunk(view, at, name);
      if (!header && type === "CgBI") {
        const advice = "export it again, or convert it with pngcrush -revert-iphone-optimizations";
        throw mismatch("unsupported", name, "a PNG of the standard", "Apple's variant CgBI", advice);
      }
      if (!header !== (type === "IHDR")) throw brokenPng(name, "one IHDR chunk, the first", JSON.stringify(type));
      if (type === "IEND") throw brokenPng(name, "pixels in IDAT chunks", "none");
      if (type === "IHDR") header = readHeader(body, name, maxPixels);
      else if (type === "PLTE") palette = body;
      else texts.add(type, body);
    }
    at = end + 4;
  }
  if (!header || !deflated) throw brokenPng(name, "pixels in IDAT chunks", "none");
  if (header.colourType === 3 && !(palette && palette.length <= 768)) {
    throw brokenPng(name, "a palette of at most 256 colours", palette ? `${palette.length} bytes` : "none");
  }
  return { palette, deflated: deflated.subarray(0, length), orientation: await texts.orientation(), ...header };
}

/** Throws unless the chunk at a place is whole and its checksum right. */
function checkChunk(view: DataView, at: number, name: string): void {
  const size = view.getUint32(at);
  const end = at + 8 + size;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const type = JSON.stringify(String.fromCharCode(...bytes.subarray(at + 4, at + 8)));
  if (end + 4 > bytes.length) {
    throw brokenPng(name, `${size} bytes in its ${type} chunk`, `that the file ends at byte ${bytes.length}`);
  }
  if (crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
    throw brokenPng(name, `the checksum of its ${type} chunk at byte ${at}`, "another");
  }
}

function readHeader(body: Uint8Array, name: string, maxPixels: number): PngHeader {
  if (body.length !== 13) throw brokenPng(name, "an IHDR chunk of 13 bytes", `${body.length}`);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const width = view.getUint32(0);
  const height = view.getUint32(4);
  const [depth, colourType, compression, filter, interlace] = body.subarray(8);
  checkSize(width, height, name, maxPixels);
  const kind = COLOUR_TYPES.get(colourType);
  if (!kind?.depths.includes(depth)) {
    const found = `type ${colourType} with ${depth} bits`;
    throw brokenPng(name, "a colour type and depth of the specification", found);
  }
  if (compression !== 0 || filter !== 0 || interlace > 1) {
    const found = `${compression}, ${filter} and ${interlace}`;
    throw brokenPng(name, "compression 0, filter 0 and interlace 0 or 1", found);
  }
  return { width, height, depth, colourType, channels: kind.channels, interlaced: interlace === 1 };
}

/** The chunks that may say how a picture is turned: `eXIf`, ImageMagick's raw profile, and XMP. The last of each kind counts. */
class Texts {
  private exif?: Uint8Array;
  private profile?: Text;
  private xmp?: Text;

  add(type: string, body: Uint8Array): void {
    if (type === "eXIf") this.exif = body;
    if (type !== "tEXt" && type !== "zTXt" && type !== "iTXt") return;
    for (const key of ["Raw profile type exif", "XML:com.adobe.xmp"]) {
      if (body[key.length] !== 0 || !startsWith(body, key)) continue;
      this[key.startsWith("R") ? "profile" : "xmp"] = [type, body.subarray(key.length + 1)];
    }
  }

  /** Reads what counts, and how it turns the picture. */
  async orientation(): Promise<number> {
    const { exif, profile, xmp } = this;
    return orientationOf({
      exif: exif ?? (profile && (await readProfile(profile))),
      xmp: xmp && (await readText(xmp)),
    });
  }
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The error for a PNG that is not as it should be. */
export function brokenPng(name: string, wanted: string, found: string): SiglipError {
  const advice = "the PNG is damaged or truncated, fetch or export it again";
  return mismatch("bad-input", name, wanted, found, advice);
}
