import { damaged } from "./damaged.ts";
import { startsWith } from "./exif.ts";
import { checkSize, type Pixels } from "./pixels.ts";

/** A code of 12 bits stands for at most 4096 pixels. */
const PIXELS_A_BYTE = 8192 / 3;
const CODE_BITS = 12;

/** Where the first picture of a GIF lies, and how it is coded. */
interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly interlaced: boolean;
  readonly palette: Uint8Array;
  readonly transparent: number | undefined;
  /** Where the number of bits of the smallest code stands. */
  readonly at: number;
}

/**
 * The first picture of a GIF as PIL's `convert("RGB")` gives it: on the whole screen, transparency dropped, what the picture does not
 * cover in the transparent colour, or else in colour 0. What follows it is not looked at. Throws a SiglipError for what is damaged or
 * truncated before. Memory: besides the file at most 5 bytes a pixel, and no more pixels than 2731 times the file's bytes.
 */
export function decodeGif(bytes: Uint8Array, name: string, maxPixels: number): Pixels {
  const frame = readFrame(bytes, name);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // A picture that reaches beyond the screen widens it, as in PIL.
  const width = Math.max(view.getUint16(6, true), frame.x + frame.width);
  const height = Math.max(view.getUint16(8, true), frame.y + frame.height);
  checkSize(width, height, name, maxPixels);
  checkSize(frame.width, frame.height, name, maxPixels);
  if (width * height > PIXELS_A_BYTE * bytes.length) {
    throw damaged("GIF", name, `${width} x ${height} pixels`, `that ${bytes.length} bytes cannot hold them`);
  }
  const indices = unpack(bytes, frame, name);
  const data = new Uint8Array(3 * width * height);
  const { palette, transparent: outside = 0 } = frame;
  for (let i = 0; i < data.length; i++) data[i] = palette[3 * outside + (i % 3)];
  for (const [line, y] of rows(frame).entries()) {
    let to = 3 * ((frame.y + y) * width + frame.x);
    for (let from = line * frame.width, end = from + frame.width; from < end; from++, to += 3) {
      const colour = 3 * indices[from];
      data[to] = palette[colour];
      data[to + 1] = palette[colour + 1];
      data[to + 2] = palette[colour + 2];
    }
  }
  return { width, height, data };
}

function readFrame(bytes: Uint8Array, name: string): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const cut = () => damaged("GIF", name, "a picture", `that the file ends at byte ${bytes.length}`);
  if (bytes.length < 13) throw cut();
  if (!startsWith(bytes, "GIF87a") && !startsWith(bytes, "GIF89a")) {
    throw damaged("GIF", name, "version 87a or 89a", JSON.stringify(String.fromCharCode(...bytes.subarray(3, 6))));
  }
  let at = 13;
  const colours = (flags: number): Uint8Array | undefined => {
    if (!(flags & 128)) return undefined;
    const size = 3 * 2 ** ((flags & 7) + 1);
    at += size;
    return table(bytes.subarray(at - size, at));
  };
  const shared = colours(bytes[10]);
  let transparent: number | undefined;
  while (at < bytes.length && bytes[at] !== 0x3b) {
    const mark = bytes[at++];
    if (mark === 0x21) {
      // An extension: its label, and blocks up to an empty one.
      const control = bytes[at++] === 0xf9;
      if (control && bytes[at] >= 4 && bytes[at + 1] & 1) transparent = bytes[at + 4];
      while (bytes[at] > 0) at += 1 + bytes[at];
      at++;
    } else if (mark === 0x2c) {
      if (at + 10 > bytes.length) throw cut();
      const [x, y, width, height] = [0, 2, 4, 6].map((field) => view.getUint16(at + field, true));
      const flags = bytes[at + 8];
      at += 9;
      const palette = colours(flags) ?? shared ?? table(new Uint8Array());
      if (at >= bytes.length) throw cut();
      return { x, y, width, height, interlaced: (flags & 64) > 0, palette, transparent, at };
    }
  }
  throw damaged("GIF", name, "a picture", at < bytes.length ? "its end marker first" : `no more than its headers`);
}

/** 256 colours: black past those that there are, but greys where those are greys in order, which PIL takes for no palette. */
function table(colours: Uint8Array): Uint8Array {
  const all = new Uint8Array(3 * 256);
  if (colours.every((value, i) => value === Math.floor(i / 3)))
    for (let i = 0; i < 768; i++) all[i] = Math.floor(i / 3);
  else all.set(colours);
  return all;
}

/** The picture's rows in the order in which they are stored. */
function rows({ height, interlaced }: Frame): number[] {
  const passes = interlaced
    ? [
        [0, 8],
        [4, 8],
        [2, 4],
        [1, 2],
      ]
    : [[0, 1]];
  return passes.flatMap(([first, step]) => {
    const count = Math.max(0, Math.ceil((height - first) / step));
    return Array.from({ length: count }, (_, i) => first + i * step);
  });
}

/** A palette index for each pixel, in the order in which they are stored: the variable-length LZW of the GIF89a specification. */
function unpack(bytes: Uint8Array, { width, height, at: start }: Frame, name: string): Uint8Array {
  const out = new Uint8Array(width * height);
  const least = bytes[start];
  if (least < 1 || least > 8) throw damaged("GIF", name, "codes of 1 to 8 bits", `${least}`);
  const clear = 1 << least;
  // Of each code: the one that it lengthens, and by what; and how many pixels that makes.
  const prefix = new Uint16Array(1 << CODE_BITS);
  const suffix = new Uint8Array(1 << CODE_BITS).map((_, code) => code);
  const length = new Uint16Array(1 << CODE_BITS).fill(1);
  let [next, size, last] = [clear + 2, least + 1, -1];
  let [at, left, bits, held, filled] = [start + 1, 0, 0, 0, 0];
  while (filled < out.length) {
    while (held < size) {
      if (left === 0) left = bytes[at++] ?? 0;
      if (left === 0 || at >= bytes.length) {
        throw damaged("GIF", name, `${out.length} pixels`, `that its data ends after ${filled}`);
      }
      bits |= bytes[at++] << held;
      held += 8;
      left--;
    }
    const code = bits & ((1 << size) - 1);
    bits >>>= size;
    held -= size;
    if (code === clear) [next, size, last] = [clear + 2, least + 1, -1];
    else if (code === clear + 1)
      throw damaged("GIF", name, `${out.length} pixels`, `that its data ends after ${filled}`);
    else {
      if (code > next || (code === next && last < 0) || (last < 0 && code > clear)) {
        throw damaged("GIF", name, `a code up to ${next}`, `${code}`);
      }
      if (last >= 0 && next < 1 << CODE_BITS) {
        prefix[next] = last;
        length[next] = length[last] + 1;
        suffix[next] = first(code === next ? last : code);
        next++;
        if (next === 1 << size && size < CODE_BITS) size++;
      } else if (code >= next) throw damaged("GIF", name, `a code below ${next}`, `${code}`);
      const end = filled + length[code];
      for (let to = end - 1, part = code; to >= filled; to--, part = prefix[part])
        if (to < out.length) out[to] = suffix[part];
      filled = end;
      last = code;
    }
  }
  return out;

  /** The first pixel of a code's. */
  function first(code: number): number {
    while (code >= clear) code = prefix[code];
    return code;
  }
}
