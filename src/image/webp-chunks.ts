import { damaged } from "./damaged.ts";
import { orientationOf, startsWith } from "./exif.ts";
import { checkSize } from "./pixels.ts";

/** A WebP taken apart, so far as a decoder of still pictures wants it. */
export interface WebP {
  readonly width: number;
  readonly height: number;
  /** How to turn the picture, 1 to 8. */
  readonly orientation: number;
  /** The picture as a file of its own. */
  readonly still: Uint8Array;
  /** Where the first frame of an animation lies on its canvas, which is clear around it; undefined for what is still. */
  readonly frame?: Area;
}

/** A rectangle of pixels. */
interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** A chunk: its name, its contents, and all of it with its header and padding. */
interface Chunk {
  readonly type: string;
  readonly body: Uint8Array;
  readonly whole: Uint8Array;
}

/**
 * Reads a WebP's chunks [RFC 9649]. Of an animation the first frame is taken, as PIL shows it. Throws a SiglipError for what is
 * damaged or truncated, and for more pixels than the limits.
 */
export function readWebP(bytes: Uint8Array, name: string, maxPixels: number): WebP {
  if (!startsWith(bytes, "RIFF")) throw damaged("WebP", name, "a RIFF file", "another");
  const chunks = chunksOf(bytes.subarray(12), name);
  const body = (type: string) => chunks.find((chunk) => chunk.type === type)?.body;
  const xmp = body("XMP ");
  const orientation = orientationOf({ exif: body("EXIF"), xmp: xmp && new TextDecoder("latin1").decode(xmp) });
  const extended = body("VP8X");
  const animated = chunks.find(({ type }) => type === "ANMF");
  if (!animated) {
    const size = sizeOf(chunks, name);
    checkSize(size.width, size.height, name, maxPixels);
    return { orientation, still: bytes, ...size };
  }
  if (!extended || extended.length < 10) throw damaged("WebP", name, "an animation's header", "none");
  const canvas = { width: 1 + uint24(extended, 4), height: 1 + uint24(extended, 7) };
  checkSize(canvas.width, canvas.height, name, maxPixels);
  const { body: head } = animated;
  if (head.length < 16) throw damaged("WebP", name, "a frame of at least 16 bytes", `${head.length}`);
  const parts = chunksOf(head.subarray(16), name).filter(({ type }) => ["ALPH", "VP8 ", "VP8L"].includes(type));
  const area = { x: 2 * uint24(head, 0), y: 2 * uint24(head, 3), ...sizeOf(parts, name) };
  if (area.x + area.width > canvas.width || area.y + area.height > canvas.height) {
    throw damaged("WebP", name, `a frame within ${canvas.width} x ${canvas.height}`, "one that reaches beyond");
  }
  return { orientation, still: join(parts, area), frame: area, ...canvas };
}

function chunksOf(bytes: Uint8Array, name: string): Chunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: Chunk[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    const type = String.fromCharCode(...bytes.subarray(at, at + 4));
    const end = at + 8 + size;
    // What is cut off behind the pixels does not matter; they themselves are for the decoder to judge.
    if (end > bytes.length && (type === "ANMF" || type === "VP8X")) {
      throw damaged("WebP", name, `${size} bytes of "${type}"`, `that the file ends after ${bytes.length - at - 8}`);
    }
    chunks.push({ type, body: bytes.subarray(at + 8, end), whole: bytes.subarray(at, end + (size % 2)) });
    at = end + (size % 2);
  }
  return chunks;
}

/** The size that the pixels themselves have. */
function sizeOf(chunks: readonly Chunk[], name: string): { width: number; height: number } {
  const found = chunks.find(({ type }) => type === "VP8 " || type === "VP8L");
  if (found?.type === "VP8 " && found.body.length >= 10) {
    const { body } = found;
    return { width: (body[6] | (body[7] << 8)) & 0x3fff, height: (body[8] | (body[9] << 8)) & 0x3fff };
  }
  if (found?.type === "VP8L" && found.body.length >= 5) {
    const [, a, b, c, d] = found.body;
    const bits = a | (b << 8) | (c << 16) | (d << 24);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
  }
  throw damaged("WebP", name, "pixels", "none");
}

/** A still file of a frame's chunks: with alpha in a chunk of its own, that has to be announced. */
function join(parts: readonly Chunk[], { width, height }: Area): Uint8Array {
  const alpha = parts.some(({ type }) => type === "ALPH");
  const length = parts.reduce((sum, { whole }) => sum + whole.length, alpha ? 18 : 0);
  const file = new Uint8Array(12 + length);
  const view = new DataView(file.buffer);
  const write = (at: number, text: string) => {
    for (let i = 0; i < text.length; i++) file[at + i] = text.charCodeAt(i);
  };
  write(0, "RIFF");
  view.setUint32(4, 4 + length, true);
  write(8, "WEBP");
  let at = 12;
  if (alpha) {
    write(at, "VP8X");
    view.setUint32(at + 4, 10, true);
    file[at + 8] = 0x10;
    view.setUint16(at + 12, width - 1, true);
    view.setUint16(at + 15, height - 1, true);
    at += 18;
  }
  for (const { whole } of parts) {
    file.set(whole, at);
    at += whole.length;
  }
  return file;
}

function uint24(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
}
