import { mismatch, type SiglipError } from "../support/error.ts";
import { type Metadata, orientationOf, startsWith } from "./exif.ts";
import { checkSize, MAX_PIXELS } from "./pixels.ts";

/** An 8 x 8 block costs at least one bit; even with the widest chroma subsampling a byte holds no more pixels than this. */
const PIXELS_A_BYTE = 1024;

/**
 * Real progressive files have about ten scans; each costs a pass over the whole picture however few bytes it has, at worst a
 * second for 300 million pixels. So a picture of more than 50 megapixels may have 20, and smaller ones more, but never over 100.
 */
const MAX_SCANS = 100;
const LEAST_SCANS = 20;
const SCANNED_PIXELS = 2 ** 30;

/** What a JPEG's headers say, and what of it to decode. */
export interface Markers {
  readonly channels: number;
  /** Whether the pixels are coded arithmetically, which browsers do not read. */
  readonly arithmetic: boolean;
  /** How to turn the picture, 1 to 8, by the EXIF and XMP segments before the first scan. */
  readonly orientation: number;
  /** Where those segments lie, and others of their kind: the bytes from and to. */
  readonly told: readonly (readonly [from: number, to: number])[];
  /** Where the file's last marker that counts begins: its end marker, or where a file without one goes wrong. */
  readonly end: number;
  /**
   * Whether the pixels end with a marker. Where they do not, PIL reads them only if bytes enough follow the last one:
   * `LOOKAHEAD`, which only a decoder can count.
   */
  readonly closed: boolean;
}

/**
 * Bytes that libjpeg wants to see beyond the last pixel where no marker ends the data, to fill its bit buffer: PIL refuses some
 * files with up to 5, by where their last bits lie, and none with more.
 */
export const LOOKAHEAD = 6;

/**
 * Walks the markers as libjpeg does, up to the end marker, whose absence a decoder only sometimes tells. As in PIL a picture in
 * one scan may lack it, since what follows its pixels does not matter; whether they are all there is for the decoder to
 * say. Throws a SiglipError for a file that is truncated or damaged otherwise, for more pixels than the limits of `checkSize`
 * or than the file's bytes can hold, for so many scans that a small file would be work for a minute, and for kinds that are
 * not done.
 */
export function readMarkers(bytes: Uint8Array, name: string, maxPixels: number = MAX_PIXELS): Markers {
  let frame: Frame | undefined;
  let scans = 0;
  let restarts = false;
  let simple = false;
  let closed = false;
  const segments: Uint8Array[] = [];
  const told: [number, number][] = [];
  const done = (end: number): Markers => {
    if (!frame || scans === 0) throw broken(name, "a frame and a scan", "its end marker first");
    const most = Math.min(MAX_SCANS, Math.max(LEAST_SCANS, Math.floor(SCANNED_PIXELS / frame.pixels)));
    if (scans > most) throw broken(name, `at most ${most} scans of ${frame.pixels} pixels`, `${scans}`);
    const { channels, arithmetic } = frame;
    return { channels, arithmetic, orientation: orientationOf(readMetadata(segments)), told, end, closed };
  };
  for (let at = 2; ; ) {
    // A marker is 0xff and a byte that is neither 0 (the 0xff was a pixel's) nor 0xff (it was a fill byte).
    do {
      at = bytes.indexOf(0xff, at) + 1;
      if (at === 0 || at === bytes.length) {
        if (simple) return done(bytes.length);
        throw truncated(name, bytes);
      }
    } while (bytes[at] === 0x00 || bytes[at] === 0xff);
    const marker = bytes[at++];
    const restart = marker >= 0xd0 && marker <= 0xd7;
    if (scans > 0 && !(restart && restarts)) closed = true;
    if (marker === 0xd9) return done(at - 2);
    if (restart || marker === 0xd8 || marker === 0x01) continue;
    const size = at + 2 > bytes.length ? 2 : (bytes[at] << 8) | bytes[at + 1];
    if (size < 2 || at + Math.max(2, size) > bytes.length) {
      if (simple && SKIPPED.has(marker)) return done(at - 2);
      if (size < 2) throw broken(name, "segments of at least 2 bytes", `one of ${size}`);
      throw truncated(name, bytes);
    }
    const body = bytes.subarray(at + 2, at + size);
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      if (frame || body.length < 6) throw broken(name, "one whole frame header", "another");
      frame = readFrame(marker, body, bytes.length, name, maxPixels);
    } else if (marker === 0xdd && scans === 0) restarts = body.some((byte) => byte > 0);
    else if (marker === 0xda) {
      if (scans++ === 0) simple = frame?.sequential === true && body[0] === frame.channels;
    } else if (marker === 0xe1) {
      told.push([at - 2, at + size]);
      if (scans === 0) segments.push(body);
    }
    at += size;
  }
}

/** Segments that libjpeg passes over, or waits for to be whole: application data, comments, tables and a further scan's header. */
const SKIPPED = new Set([0xc4, 0xcc, 0xda, 0xdb, 0xdc, 0xdd, 0xfe, ...Array.from({ length: 16 }, (_, i) => 0xe0 + i)]);

const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";

/** EXIF may go on in further segments; of XMP packets the last counts. */
function readMetadata(segments: readonly Uint8Array[]): Metadata {
  const parts = segments.filter((body) => startsWith(body, EXIF)).map((body) => body.subarray(EXIF.length));
  const exif = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    exif.set(part, at);
    at += part.length;
  }
  const packet = segments.findLast((body) => startsWith(body, XMP));
  return { exif, xmp: packet && new TextDecoder("latin1").decode(packet.subarray(XMP.length)) };
}

interface Frame {
  readonly channels: number;
  readonly pixels: number;
  readonly sequential: boolean;
  readonly arithmetic: boolean;
}

/** Codings of the standard that hardly anything writes and no decoder here reads; those of 12 bits are told by their depth. */
const RARE = new Map([
  [0xc3, "lossless coding"],
  [0xcb, "lossless coding"],
  ...[0xc5, 0xc6, 0xc7, 0xcd, 0xce, 0xcf].map((marker) => [marker, "hierarchical coding"] as const),
]);

/** A frame header, its size checked against the limits and the file's length. */
function readFrame(marker: number, body: Uint8Array, fileLength: number, name: string, maxPixels: number): Frame {
  const rare = RARE.get(marker) ?? (body[0] !== 8 ? `${body[0]} bits a sample` : undefined);
  if (rare) {
    const advice = "convert the picture to an ordinary JPEG or to PNG";
    throw mismatch("unsupported", name, "a baseline or progressive JPEG of 8 bits a sample", rare, advice);
  }
  const channels = body[5];
  if (![1, 3, 4].includes(channels)) {
    throw mismatch("unsupported", name, "a JPEG of 1, 3 or 4 channels", `${channels}`, "convert the picture to PNG");
  }
  const height = (body[1] << 8) | body[2];
  const width = (body[3] << 8) | body[4];
  checkSize(width, height, name, maxPixels);
  if (width * height > PIXELS_A_BYTE * fileLength) {
    throw broken(name, `${width} x ${height} pixels`, `that ${fileLength} bytes cannot hold them`);
  }
  const arithmetic = marker === 0xc9 || marker === 0xca;
  return { channels, pixels: width * height, sequential: marker !== 0xc2 && marker !== 0xca, arithmetic };
}

/** The error for a file that ends too soon. */
export function truncated(name: string, bytes: Uint8Array): SiglipError {
  return broken(name, "an end marker", `that the file ends at byte ${bytes.length}`);
}

/** The error for a file that is not as it should be. */
export function broken(name: string, wanted: string, found: string): SiglipError {
  const advice = "the JPEG is damaged or truncated, fetch or export it again";
  return mismatch("bad-input", name, wanted, found, advice);
}
