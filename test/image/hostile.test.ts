import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkPixels } from "../../src/image/pixels.ts";
import { decode } from "../../src/node/images/decode.ts";
import { SiglipError } from "../../src/support/error.ts";
import { chunk, exif, rgbPng, synthetic, withSegment } from "../harness/pictures.ts";

/** A change to a file: bytes at a place (millionths of the length) written over, put in, or taken out together with all after them. */
const edit = fc.record({
  at: fc.noBias(fc.integer({ min: 0, max: 999_999 })),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 4 }),
  how: fc.constantFrom("write", "write", "write", "insert", "delete", "cut"),
});

function apply(file: Uint8Array, edits: readonly { at: number; bytes: Uint8Array; how: string }[]): Buffer {
  let out = Buffer.from(file);
  for (const { at, bytes, how } of edits) {
    const place = Math.floor((at / 1e6) * out.length);
    const start = out.subarray(0, place);
    if (how === "write") out = Buffer.concat([start, bytes, out.subarray(place + bytes.length)]);
    else if (how === "insert") out = Buffer.concat([start, bytes, out.subarray(place)]);
    else if (how === "delete") out = Buffer.concat([start, out.subarray(place + bytes[0])]);
    else out = Buffer.from(start);
  }
  return out;
}

/** Makes the checksum of every chunk right again, so that a change reaches what lies behind it. */
function mend(png: Buffer): Buffer {
  for (let at = 8; at + 12 <= png.length; ) {
    const end = at + 8 + png.readUInt32BE(at);
    if (end + 4 > png.length) break;
    png.writeUInt32BE(crc32(png.subarray(at + 4, end)), end);
    at = end + 4;
  }
  return png;
}

/** A picture that keeps its promises, or a SiglipError; anything else fails the test. */
async function isPictureOrError(file: Uint8Array): Promise<boolean> {
  try {
    const pixels = await decode(file, "x");
    checkPixels(pixels, "what decode gave");
    // JPEG at most 1024 pixels a byte, PNG at most 1032 * 8 pixels of one bit.
    expect(pixels.width * pixels.height).toBeLessThanOrEqual(8256 * file.length);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(SiglipError);
    return false;
  }
}

const jpeg = (name: string) => readFileSync(new URL(`../fixtures/jpeg/${name}`, import.meta.url));
const image = (name: string) => readFileSync(new URL(`../fixtures/images/${name}`, import.meta.url));
const turn = chunk("eXIf", exif(6));
const FILES: readonly (readonly [string, Uint8Array, number])[] = [
  ["RGB PNG", rgbPng(synthetic(5, 4), { before: [turn] }), 1500],
  ["tiny PNG", image("two-2x3.png"), 1000],
  ["palette PNG", image("palette-transparent-P.png"), 500],
  ["interlaced PNG", image("interlaced-L.png"), 300],
  [
    "baseline JPEG",
    withSegment(jpeg("baseline-420.jpg"), 0xe1, Buffer.concat([Buffer.from("Exif\0\0"), exif(6)])),
    1000,
  ],
  ["progressive JPEG", jpeg("progressive-420.jpg"), 700],
  ["JPEG with restarts", jpeg("baseline-422-restart.jpg"), 500],
  ["YCCK JPEG", jpeg("ycck-420.jpg"), 500],
];

describe("hostile pictures", () => {
  for (const [name, file, numRuns] of FILES) {
    it(`${name}: ${numRuns} changed copies each give a picture or a SiglipError`, async () => {
      let accepted = 0;
      const property = fc.asyncProperty(
        fc.array(edit, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        async (edits, mended) => {
          const copy = apply(file, edits);
          if (await isPictureOrError(mended && file[0] === 0x89 ? mend(copy) : copy)) accepted++;
        },
      );
      await fc.assert(property, { seed: 4, numRuns });
      expect(accepted).toBeGreaterThan(0);
    });
  }

  it("bytes that are nothing in particular are refused", async () => {
    const property = fc.asyncProperty(
      fc.uint8Array({ maxLength: 64 }),
      fc.constantFrom("", "\xff\xd8\xff", "\x89PNG\r\n\x1a\n"),
      async (bytes, head) => {
        expect(await isPictureOrError(Buffer.concat([Buffer.from(head, "latin1"), bytes]))).toBe(false);
      },
    );
    await fc.assert(property, { seed: 5, numRuns: 1000 });
  });

  it.each([
    ["", "an empty file", "fetch it again"],
    ["\0\0\0\x18ftypmif1\0\0\0\0", "a HEIF picture in a rare coding"],
    ["\0\0\0\x18ftypisom\0\0\0\0", "a video"],
    ["\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"],
    ["\xff\x0a\xfa\x1f", "a JPEG XL picture"],
    ["\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"],
    ["\0\0\x01\0\x01\0\x10\x10", "an icon (ICO)"],
    ["8BPS\0\x01", "a Photoshop document"],
    ["%PDF-1.7", "a PDF document"],
    ["PK\x03\x04", "a ZIP archive"],
    ["\x1f\x8b\x08\0", "gzip-compressed data"],
    ["version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer instead of the file itself", "fetch it again"],
    ["<?xml version='1.0'?><svg xmlns='x'>", "an SVG drawing"],
    ["\n<!DOCTYPE html><html>", "an HTML page", "fetch it again"],
    ["\x89PNG\n\x1a\n\0\0\0\rIHDR", "a PNG whose line endings were changed on the way", "fetch it again"],
    ['{"a": 1}', "bytes that begin 7b 22 61 22 3a 20 31 7d"],
  ])("case %#: names what it found", async (text, kind, advice = "convert it to PNG or JPEG") => {
    const decoded = decode(Buffer.from(text, "latin1"), "photo");
    await expect(decoded).rejects.toBeInstanceOf(SiglipError);
    await expect(decode(Buffer.from(text, "latin1"), "photo")).rejects.toThrow(
      `photo: wanted a PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF or HEIC picture, found ${kind}; ${advice}.`,
    );
  });
});
