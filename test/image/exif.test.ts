import { describe, expect, it } from "vitest";
import { exifOrientation, orientationOf } from "../../src/image/exif.ts";
import { decode } from "../../src/node/images/decode.ts";
import { chunk, exif, rgbPng } from "../harness/pictures.ts";

type Entry = readonly [tag: number, type: number, count: number, value: Uint8Array];

/** A TIFF header and a directory, with `after` at offset 14 + 12 * entries. */
function tiff(little: boolean, entries: readonly Entry[], after: Uint8Array = new Uint8Array(0)): Buffer {
  const out = Buffer.alloc(14 + 12 * entries.length);
  const short = (value: number, at: number) => (little ? out.writeUInt16LE(value, at) : out.writeUInt16BE(value, at));
  const long = (value: number, at: number) => (little ? out.writeUInt32LE(value, at) : out.writeUInt32BE(value, at));
  out.write(little ? "II" : "MM", "latin1");
  short(42, 2);
  long(8, 4);
  short(entries.length, 8);
  for (const [i, [tag, type, count, value]] of entries.entries()) {
    short(tag, 10 + 12 * i);
    short(type, 12 + 12 * i);
    long(count, 14 + 12 * i);
    out.set(value, 18 + 12 * i);
  }
  return Buffer.concat([out, after]);
}

/** A number of so many bytes. */
function number(value: number, bytes: number, little: boolean): Buffer {
  const out = Buffer.alloc(bytes);
  if (little) out.writeUIntLE(value, 0, bytes);
  else out.writeUIntBE(value, 0, bytes);
  return out;
}

const short = (value: number) => number(value, 2, true);

// Everything expected here is what Pillow 12.3.0 does.
describe("EXIF orientation", () => {
  for (const little of [true, false]) {
    for (const [type, bytes] of [
      [3, 2],
      [4, 4],
      [6, 1],
      [8, 2],
      [9, 4],
      [13, 4],
    ]) {
      it.each([1, 2, 3, 4])(
        `of type ${type}, ${little ? "little" : "big"} end first, %i of them: the first`,
        (count) => {
          const values = Buffer.concat([6, 1, 1, 1].slice(0, count).map((value) => number(value, bytes, little)));
          const inside = values.length <= 4;
          const block = tiff(
            little,
            [[0x0112, type, count, inside ? values : number(26, 4, little)]],
            inside ? undefined : values,
          );
          expect(exifOrientation(block)).toBe(6);
        },
      );
    }
  }

  it.each([1, 2, 7])("of type %i, bytes and text, is upright", (type) => {
    expect(exifOrientation(tiff(true, [[0x0112, type, 1, Uint8Array.of(6)]]))).toBe(1);
  });

  it("is that of the last entry that can be read", () => {
    const six: Entry = [0x0112, 3, 1, short(6)];
    expect(exifOrientation(tiff(true, [six, [0x0112, 3, 1, short(8)]]))).toBe(8);
    expect(exifOrientation(tiff(true, [six, [0x0112, 3, 1, short(9)]]))).toBe(1);
    expect(exifOrientation(tiff(true, [six, [0x0112, 3, 0, short(8)]]))).toBe(6);
    expect(exifOrientation(tiff(true, [six, [0x0112, 99, 1, short(8)]]))).toBe(6);
    expect(exifOrientation(tiff(true, [six, [0x0112, 3, 9, number(5000, 4, true)]]))).toBe(6);
    expect(exifOrientation(tiff(true, [[0x010f, 2, 9, number(5000, 4, true)], six]))).toBe(undefined);
  });

  it("stands behind any number of Exif prefixes, and behind a 42 of the other order", () => {
    expect(exifOrientation(Buffer.concat([Buffer.from("Exif\0\0Exif\0\0"), exif(6)]))).toBe(6);
    const odd = exif(6);
    odd.set([0, 42], 2);
    expect(exifOrientation(odd)).toBe(6);
  });

  it("goes before XMP's, which counts where it says nothing", () => {
    const xmp = '<x tiff:Orientation="8"/>';
    expect(orientationOf({ exif: exif(6), xmp })).toBe(6);
    expect(orientationOf({ exif: exif(9), xmp })).toBe(1);
    expect(orientationOf({ exif: tiff(true, []), xmp })).toBe(8);
    expect(orientationOf({ xmp })).toBe(8);
    expect(orientationOf({ xmp: "<tiff:Orientation>3</tiff:Orientation>" })).toBe(3);
    expect(orientationOf({ xmp: "<x tiff:Orientation='8'/>" })).toBe(1);
    expect(orientationOf({})).toBe(1);
  });
});

describe("a PNG is turned by", () => {
  const plain = { width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
  const upright = { width: 1, height: 2, data: plain.data };
  const profile = `\nexif\n      26\n${exif(6)
    .toString("hex")
    .replace(/(.{20})/g, "$1\n")}\n`;
  const text = (type: string, key: string, value: string | Buffer) =>
    chunk(type, Buffer.concat([Buffer.from(`${key}\0`), Buffer.from(value)]));

  it.each<[string, Buffer]>([
    ["eXIf", chunk("eXIf", exif(6))],
    ["eXIf that begins as a JPEG's", chunk("eXIf", Buffer.concat([Buffer.from("Exif\0\0"), exif(6)]))],
    ["a raw profile in tEXt", text("tEXt", "Raw profile type exif", profile)],
    ["XMP in iTXt", text("iTXt", "XML:com.adobe.xmp", '\0\0\0\0<x tiff:Orientation="6"/>')],
    ["XMP in tEXt", text("tEXt", "XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')],
  ])("%s, before and behind its pixels", async (_, block) => {
    expect(await decode(rgbPng(plain, { before: [block] }))).toEqual(upright);
    expect(await decode(rgbPng(plain, { after: [block] }))).toEqual(upright);
  });

  it("EXIF rather than XMP, eXIf rather than a raw profile", async () => {
    const xmp = text("tEXt", "XML:com.adobe.xmp", '<x tiff:Orientation="3"/>');
    const raw = text("tEXt", "Raw profile type exif", profile);
    expect(await decode(rgbPng(plain, { before: [xmp, raw] }))).toEqual(upright);
    expect(await decode(rgbPng(plain, { before: [raw, xmp, chunk("eXIf", exif(1))] }))).toEqual(plain);
  });
});
