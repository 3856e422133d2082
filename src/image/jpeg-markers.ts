import { mismatch, type SiglipError } from "../support/error.ts";
import { exifOrientation } from "./exif.ts";
import { checkSize } from "./pixels.ts";

/** An 8 x 8 block costs at least one bit; even with the widest chroma subsampling a byte holds no more pixels than this. */
const PIXELS_A_BYTE = 1024;

/**
 * Real progressive files have about ten scans; each costs a pass over the whole picture however few bytes it has, at worst a
 * second for 300 million pixels. So a picture of more than 50 megapixels may have 20, and smaller ones more, but never over 100.
 */
const MAX_SCANS = 100;
const LEAST_SCANS = 20;
const SCANNED_PIXELS = 2 ** 30;

/** What a JPEG's headers say. */
export interface Markers {
  readonly channels: number;
  readonly orientation: number;
}

/**
 * Walks the markers as libjpeg does, up to the end marker, whose absence a decoder only sometimes tells. Throws a SiglipError
 * for a truncated or damaged file, for more pixels than the limits of `checkSize` or than the file's bytes can hold, and for
 * so many scans that a small file would be work for a minute.
 */
export function readMarkers(bytes: Uint8Array, name: string): Markers {
  let frame: Frame | undefined;
  let orientation: number | undefined;
  let scans = 0;
  for (let at = 2; ; ) {
    // A marker is 0xff and a byte that is neither 0 (the 0xff was a pixel's) nor 0xff (it was a fill byte).
    do {
      at = bytes.indexOf(0xff, at) + 1;
      if (at === 0 || at === bytes.length) throw truncated(name, bytes);
    } while (bytes[at] === 0x00 || bytes[at] === 0xff);
    const marker = bytes[at++];
    if (marker === 0xd9) break;
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue;
    if (at + 2 > bytes.length) throw truncated(name, bytes);
    const size = (bytes[at] << 8) | bytes[at + 1];
    if (size < 2) throw broken(name, "segments of at least 2 bytes", `one of ${size}`);
    if (at + size > bytes.length) throw truncated(name, bytes);
    const body = bytes.subarray(at + 2, at + size);
    at += size;
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      if (frame || body.length < 6) throw broken(name, "one whole frame header", "another");
      frame = readFrame(marker, body, bytes.length, name);
    } else if (marker === 0xda) scans++;
    else if (marker === 0xe1 && isExif(body)) orientation ??= exifOrientation(body.subarray(6));
  }
  if (!frame || scans === 0) throw broken(name, "a frame and a scan", "its end marker first");
  const most = Math.min(MAX_SCANS, Math.max(LEAST_SCANS, Math.floor(SCANNED_PIXELS / frame.pixels)));
  if (scans > most) throw broken(name, `at most ${most} scans of ${frame.pixels} pixels`, `${scans}`);
  return { channels: frame.channels, orientation: orientation ?? 1 };
}

interface Frame {
  readonly channels: number;
  readonly pixels: number;
}

/** Codings of the standard that hardly anything writes and no decoder here reads; those of 12 bits are told by their depth. */
const RARE = new Map([
  [0xc3, "lossless coding"],
  [0xcb, "lossless coding"],
  ...[0xc5, 0xc6, 0xc7, 0xcd, 0xce, 0xcf].map((marker) => [marker, "hierarchical coding"] as const),
]);

/** A frame header, its size checked against the limits and the file's length. */
function readFrame(marker: number, body: Uint8Array, fileLength: number, name: string): Frame {
  const rare = RARE.get(marker) ?? (body[0] !== 8 ? `${body[0]} bits a sample` : undefined);
  if (rare) {
    const advice = "convert the picture to an ordinary JPEG or to PNG";
    throw mismatch("unsupported", name, "a baseline or progressive JPEG of 8 bits a sample", rare, advice);
  }
  const height = (body[1] << 8) | body[2];
  const width = (body[3] << 8) | body[4];
  checkSize(width, height, name);
  if (width * height > PIXELS_A_BYTE * fileLength) {
    throw broken(name, `${width} x ${height} pixels`, `that ${fileLength} bytes cannot hold them`);
  }
  return { channels: body[5], pixels: width * height };
}

function isExif(body: Uint8Array): boolean {
  return String.fromCharCode(...body.subarray(0, 6)) === "Exif\0\0";
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
