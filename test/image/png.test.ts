import { createDeflate, deflateRawSync, deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode } from "../../src/node/images/decode.ts";
import { SiglipError } from "../../src/support/error.ts";
import { chunk, exif, type PngParts, png, rgbPng, synthetic } from "../harness/pictures.ts";

const CHANNELS = new Map([
  [0, 1],
  [2, 3],
  [3, 1],
  [4, 2],
  [6, 4],
]);
const KINDS = [
  ...[1, 2, 4, 8, 16].map((depth) => ({ colourType: 0, depth })),
  ...[1, 2, 4, 8].map((depth) => ({ colourType: 3, depth })),
  ...[2, 4, 6].flatMap((colourType) => [8, 16].map((depth) => ({ colourType, depth }))),
];
/** The pass of Adam7 that holds a pixel, by its row and column modulo 8 (PNG specification, 8.2). */
const PASS = ["16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777"];

/** Rows of samples as an encoder packs and filters them, each with the filter type that `type` gives next. */
function filterRows(rows: number[][], depth: number, channels: number, type: () => number): Buffer {
  const distance = Math.max(1, (channels * depth) / 8);
  let above = new Uint8Array(0);
  return Buffer.concat(
    rows.map((samples) => {
      const bits = samples.map((sample) => sample.toString(2).padStart(depth, "0")).join("");
      const bytes = Uint8Array.from(bits.match(/.{1,8}/g)!, (byte) => Number.parseInt(byte.padEnd(8, "0"), 2));
      const filter = type();
      const filtered = bytes.map((byte, i) => {
        const [a, b, c] = [bytes[i - distance] ?? 0, above[i] ?? 0, i < distance ? 0 : (above[i - distance] ?? 0)];
        const nearest = [a, b, c].sort((p, q) => Math.abs(a + b - c - p) - Math.abs(a + b - c - q))[0];
        return byte - [0, a, b, (a + b) >> 1, nearest][filter];
      });
      above = bytes;
      return Buffer.from([filter, ...filtered]);
    }),
  );
}

/** A PNG of random samples, and the RGB that PIL's `convert("RGB")` makes of them (16 bits: the high byte). */
function randomPng(
  width: number,
  height: number,
  kind: { colourType: number; depth: number },
  interlace: number,
  random: () => number,
) {
  const { colourType, depth } = kind;
  const channels = CHANNELS.get(colourType)!;
  const palette = Uint8Array.from({ length: 3 * 2 ** Math.min(depth, 8) }, () => random() * 256);
  const samples = Array.from({ length: height }, () =>
    Array.from({ length: width }, () => Array.from({ length: channels }, () => Math.floor(random() * 2 ** depth))),
  );
  const expected = samples.flat().flatMap((pixel) => {
    if (colourType === 3) return [...palette.subarray(3 * pixel[0], 3 * pixel[0] + 3)];
    const levels = pixel.map((sample) => (depth === 16 ? sample >> 8 : (sample * 255) / (2 ** depth - 1)));
    return channels < 3 ? [levels[0], levels[0], levels[0]] : levels.slice(0, 3);
  });
  const passes = interlace ? ["1", "2", "3", "4", "5", "6", "7"] : [""];
  const filtered = passes.map((pass) => {
    const rows = samples.map((row, y) => row.filter((_, x) => PASS[y % 8][x % 8].includes(pass)).flat());
    return filterRows(
      rows.filter((row) => row.length > 0),
      depth,
      channels,
      () => Math.floor(random() * 5),
    );
  });
  const key = { 0: [0, 1], 2: [0, 1, 0, 2, 0, 3], 3: [0, 128] }[colourType];
  const before = colourType === 3 ? [chunk("PLTE", palette)] : [];
  if (key && random() < 0.5) before.push(chunk("tRNS", Uint8Array.from(key)));
  const deflated = deflateSync(Buffer.concat(filtered));
  const cut = Math.floor(random() * deflated.length);
  const idat = [deflated.subarray(0, cut), deflated.subarray(cut)];
  return { file: png({ width, height, colourType, depth, interlace, before, idat }), expected };
}

const plain = synthetic(3, 2);
const refused = async (file: Uint8Array, message: RegExp) => {
  const error = await decode(file, "x.png").then(
    () => expect.fail("it was accepted"),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(SiglipError);
  expect(error.message).toMatch(message);
  expect(error.message).toMatch(/^x\.png: wanted .* found .*; .*\.$/);
};

describe("PNG", () => {
  for (const kind of KINDS) {
    for (const interlace of [0, 1]) {
      it(`colour type ${kind.colourType}, ${kind.depth} bits${interlace ? ", interlaced" : ""}: every sample`, async () => {
        const property = fc.asyncProperty(
          fc.integer({ min: 1, max: 19 }),
          fc.integer({ min: 1, max: 19 }),
          fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
          async (width, height, stream) => {
            const { file, expected } = randomPng(width, height, kind, interlace, () => stream.next().value!);
            expect(await decode(file)).toEqual({ width, height, data: Uint8Array.from(expected) });
          },
        );
        await fc.assert(property, { seed: 3, numRuns: 12 });
      });
    }
  }

  it("drops alpha without multiplying by it", async () => {
    const file = png({
      width: 2,
      height: 1,
      colourType: 6,
      idat: [deflateSync(Uint8Array.of(0, 10, 20, 30, 0, 40, 50, 60, 9))],
    });
    expect((await decode(file)).data).toEqual(Uint8Array.of(10, 20, 30, 40, 50, 60));
  });

  it("shows an index past the palette black, as PIL does", async () => {
    const before = [chunk("PLTE", Uint8Array.of(1, 2, 3))];
    const file = png({ width: 2, height: 1, colourType: 3, before, idat: [deflateSync(Uint8Array.of(0, 0, 200))] });
    expect((await decode(file)).data).toEqual(Uint8Array.of(1, 2, 3, 0, 0, 0));
  });

  it("of an animation takes the default image, and knows no other chunk", async () => {
    const before = [chunk("acTL", new Uint8Array(8)), chunk("fcTL", new Uint8Array(26)), chunk("juNk")];
    const after = [chunk("fcTL", new Uint8Array(26)), chunk("fdAT", new Uint8Array(9))];
    expect(await decode(rgbPng(plain, { before, after }))).toEqual(plain);
  });

  it("ignores what follows IEND and what the stream holds beyond the pixels", async () => {
    expect(await decode(Buffer.concat([rgbPng(plain), Buffer.alloc(99, 7)]))).toEqual(plain);
    const rows = Buffer.concat([
      Buffer.of(0),
      plain.data.subarray(0, 9),
      Buffer.of(0),
      plain.data.subarray(9),
      Buffer.alloc(5000),
    ]);
    expect(await decode(rgbPng(plain, { idat: [deflateSync(rows)] }))).toEqual(plain);
  });

  // Rows of pixel numbers of a picture 3 wide and 2 high, 0 1 2 above 3 4 5, after TIFF 6.0's table of orientations.
  it.each([
    [1, "012 345"],
    [2, "210 543"],
    [3, "543 210"],
    [4, "345 012"],
    [5, "03 14 25"],
    [6, "30 41 52"],
    [7, "52 41 30"],
    [8, "25 14 03"],
    [0, "012 345"],
    [9, "012 345"],
  ])("eXIf orientation %i", async (orientation, layout) => {
    const rows = layout.split(" ");
    const data = Uint8Array.from(
      [...rows.join("")].flatMap((digit) => [...plain.data.subarray(3 * Number(digit), 3 * Number(digit) + 3)]),
    );
    const upright = { width: rows[0].length, height: rows.length, data };
    for (const little of [true, false]) {
      const block = chunk("eXIf", exif(orientation, little));
      expect(await decode(rgbPng(plain, { before: [block] }))).toEqual(upright);
      expect(await decode(rgbPng(plain, { after: [block] }))).toEqual(upright);
    }
  });

  it("takes a malformed eXIf for none", async () => {
    for (const block of [
      Buffer.alloc(0),
      Buffer.from("II*\0\xff\xff\xff\xff______", "latin1"),
      exif(6).subarray(0, 20),
      exif(6).fill(9, 12, 14),
    ]) {
      expect(await decode(rgbPng(plain, { before: [chunk("eXIf", block)] }))).toEqual(plain);
    }
  });

  it("cut after any of its bytes is refused, until every pixel is there", async () => {
    const picture = synthetic(9, 9);
    const file = rgbPng(picture, { before: [chunk("tEXt", Buffer.from("a\0b"))] });
    let first = file.length;
    for (; first > 8; first--) {
      const pixels = await decode(file.subarray(0, first)).catch(() => undefined);
      if (!pixels) break;
      expect(pixels).toEqual(picture);
    }
    // IEND, the checksums of IDAT and of the pixels, and perhaps the last block's end are not needed.
    expect(file.length - first).toBeGreaterThanOrEqual(12 + 4 + 4);
    expect(file.length - first).toBeLessThanOrEqual(12 + 4 + 4 + 2);
    for (let length = 8; length <= first; length++) await refused(file.subarray(0, length), /truncated/);
  });

  it("with any one bit changed is refused up to the pixels, and is nearly always the same picture or refused from there on", async () => {
    const file = rgbPng(plain, { before: [chunk("tEXt", Buffer.from("a\0b"))] });
    const pixels = 8 * (file.indexOf("IDAT") - 4);
    let others = 0;
    for (let bit = 8 * 8; bit < 8 * file.length; bit++) {
      const copy = Buffer.from(file);
      copy[bit >> 3] ^= 1 << (bit & 7);
      if (bit < pixels) await refused(copy, /damaged or truncated/);
      else if (Buffer.compare((await decode(copy).catch(() => plain)).data, plain.data) !== 0) others++;
    }
    // Pixels that go on past the last one, so that their checksum is never met: PIL reads these, too.
    expect(others).toBeLessThan(10);
  });

  const rows = Buffer.concat([Buffer.of(0), plain.data.subarray(0, 9), Buffer.of(0), plain.data.subarray(9)]);
  const changed = (at: number) => {
    const copy = deflateSync(rows);
    copy[at < 0 ? copy.length + at : at] ^= 1;
    return copy;
  };
  it.each<[string, Partial<PngParts>, RegExp]>([
    ["a zlib header that is none", { idat: [changed(0)] }, /its data breaks after 0/],
    ["deflate without zlib's header, as iOS writes it", { idat: [deflateRawSync(rows)] }, /its data breaks after/],
    ["a wrong zlib checksum", { idat: [changed(-1)] }, /its data breaks after 20/],
    [
      "too few pixels",
      { idat: [deflateSync(rows.subarray(1))] },
      /20 bytes of pixels, found that its data ends after 19/,
    ],
    ["no pixels", { idat: [] }, /pixels in IDAT chunks, found none/],
    ["empty pixels", { idat: [Buffer.alloc(0)] }, /0 compressed ones cannot hold them/],
    [
      "pixels after another chunk",
      {
        idat: [deflateSync(rows).subarray(0, 9)],
        after: [chunk("tEXt"), chunk("IDAT", deflateSync(rows).subarray(9))],
      },
      /its data ends after/,
    ],
    ["a filter of type 5", { idat: [deflateSync(Buffer.from(rows).fill(5, 10, 11))] }, /found 5 in row 1/],
    ["a second IHDR", { before: [chunk("IHDR", new Uint8Array(13))] }, /one IHDR chunk, the first, found "IHDR"/],
    ["a palette picture without palette", { colourType: 3 }, /palette of at most 256 colours, found none/],
    ["a palette of 257 colours", { colourType: 3, before: [chunk("PLTE", new Uint8Array(771))] }, /found 771 bytes/],
    ["colour type 5", { colourType: 5 }, /found type 5 with 8 bits/],
    ["3 bits", { colourType: 0, depth: 3 }, /found type 0 with 3 bits/],
    ["16 bits of palette", { colourType: 3, depth: 16 }, /found type 3 with 16 bits/],
    ["interlacing of kind 2", { interlace: 2 }, /found 0, 0 and 2/],
    ["no width", { width: 0 }, /found 0 x 2/],
    ["no height", { height: 0 }, /found 3 x 0/],
    ["60,000 x 60,000 pixels", { width: 60_000, height: 60_000 }, /at most 178956970 pixels, found 60000 x 60000/],
    ["a side of 2 ** 32 - 1", { width: 2 ** 32 - 1 }, /1 to 1000000 pixels, found 4294967295 x 2/],
    ["far more pixels than its bytes can hold", { width: 13_000, height: 13_000 }, /compressed ones cannot hold them/],
  ])("refuses %s", (_, extra, message) => refused(rgbPng(plain, extra), message));

  it("does not follow a stream that inflates to far more than the header says", async () => {
    const bomb: Buffer[] = [];
    const deflate = createDeflate().on("data", (part) => bomb.push(part));
    const zeros = Buffer.alloc(1 << 20);
    for (let i = 0; i < 128; i++) await new Promise((done) => deflate.write(zeros, done));
    await new Promise((done) => deflate.on("end", done).end());
    const before = process.resourceUsage().maxRSS;
    expect(await decode(png({ width: 1, height: 1, idat: bomb }))).toEqual({
      width: 1,
      height: 1,
      data: new Uint8Array(3),
    });
    // 128 MiB lie in the stream; one piece of output is at most 1 MiB.
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(32 * 1024);
  });

  it("reads hundreds of thousands of tiny chunks, and a huge one that it does not need", async () => {
    const deflated = deflateSync(rows);
    const idat = Array.from({ length: 200_000 }, (_, i) => deflated.subarray(i, i + 1));
    expect(await decode(rgbPng(plain, { idat }))).toEqual(plain);
    expect(await decode(rgbPng(plain, { before: [chunk("zTXt", Buffer.alloc(20_000_000, 1))] }))).toEqual(plain);
  });
});
