import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import encode, { init } from "@jsquash/jpeg/encode.js";
import { describe, expect, it, vi } from "vitest";
import { orient } from "../../src/image/exif.ts";
import type { Pixels } from "../../src/image/pixels.ts";
import { decode } from "../../src/node/images/decode.ts";
import { SiglipError } from "../../src/support/error.ts";
import { exif, IMAGES, withSegment } from "../harness/pictures.ts";

const folder = new URL("../fixtures/jpeg/", import.meta.url);
const { pictures } = JSON.parse(readFileSync(new URL("index.json", folder), "utf8")) as {
  pictures: { file: string; width: number; height: number; rgb_sha256: string }[];
};
const read = (name: string) => readFileSync(new URL(name, folder));
const sha256 = ({ data }: Pixels) => createHash("sha256").update(data).digest("hex");
const segment = (orientation: number) => Buffer.concat([Buffer.from("Exif\0\0"), exif(orientation)]);

const refused = async (file: Uint8Array, message: RegExp) => {
  const error = await decode(file, "x.jpg").then(
    () => expect.fail("it was accepted"),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(SiglipError);
  expect(error.message).toMatch(message);
  expect(error.message).toMatch(/^x\.jpg: wanted .* found .*; .*\.$/);
};

/** The same file with another size in its frame header. */
function resized(file: Uint8Array, width: number, height: number): Buffer {
  const copy = Buffer.from(file);
  const frame = [0xc0, 0xc2].map((marker) => copy.indexOf(Buffer.of(0xff, marker, 0))).find((at) => at > 0)!;
  copy.writeUInt16BE(height, frame + 5);
  copy.writeUInt16BE(width, frame + 7);
  return copy;
}

/** 12 megapixels of noise on gradients. */
async function encodeLarge(): Promise<Uint8Array> {
  const wasm = createRequire(import.meta.url).resolve("@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm");
  await (init as (module: WebAssembly.Module) => Promise<void>)(await WebAssembly.compile(readFileSync(wasm)));
  const data = new Uint8ClampedArray(4 * 12_000_000).map((_, i) => (i >> 12) + (Math.imul(i, 2654435761) >>> 29));
  const picture = { width: 4000, height: 3000, data } as ImageData;
  return new Uint8Array(await encode(picture, { quality: 90, progressive: false, optimize_coding: false }));
}

describe("JPEG", () => {
  for (const { file, width, height, rgb_sha256 } of pictures) {
    it(`${file} is what PIL makes of it, to the bit`, async () => {
      const pixels = await decode(read(file));
      expect([pixels.width, pixels.height, sha256(pixels)]).toEqual([width, height, rgb_sha256]);
    });

    it(`${file} cut after any of its bytes is refused`, async () => {
      const bytes = read(file);
      for (let length = 3; length < bytes.length; length++) await refused(bytes.subarray(0, length), /truncated/);
    });
  }

  it("of a real size, cut anywhere, is refused", async () => {
    for (const name of ["progressive-420.jpg", "q85-420.jpg", "cmyk.jpg", "exif-orientation-6.jpg"]) {
      const bytes = readFileSync(`${IMAGES}/${name}`);
      for (let length = bytes.length - 1; length > 3; length -= 997)
        await refused(bytes.subarray(0, length), /truncated/);
    }
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])("EXIF orientation %i turns colours and CMYK", async (orientation) => {
    for (const name of ["baseline-420.jpg", "ycck-420.jpg"]) {
      const turned = await decode(withSegment(read(name), 0xe1, segment(orientation)));
      expect(turned).toEqual(orient(await decode(read(name)), orientation));
      expect([turned.width, turned.height]).toEqual(orientation < 5 ? [23, 17] : [17, 23]);
    }
  });

  it("follows EXIF before the scan, else XMP, and no other kind of APP1", async () => {
    const plain = await decode(read("gray.jpg"));
    const turned = orient(plain, 6);
    const xmp = Buffer.from('http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>');
    const element = Buffer.from("http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>6</tiff:Orientation>");
    const other = Buffer.from('http://ns.adobe.com/xmp/extension/\0<x tiff:Orientation="6"/>');
    const twice = withSegment(withSegment(read("gray.jpg"), 0xe1, segment(6)), 0xe1, segment(1));
    expect(await decode(twice)).toEqual(plain);
    expect(await decode(withSegment(read("gray.jpg"), 0xe1, xmp))).toEqual(turned);
    expect(await decode(withSegment(read("gray.jpg"), 0xe1, element))).toEqual(turned);
    expect(await decode(withSegment(read("gray.jpg"), 0xe1, other))).toEqual(plain);
    expect(await decode(withSegment(withSegment(read("gray.jpg"), 0xe1, segment(1)), 0xe1, xmp))).toEqual(plain);
    const late = Buffer.concat([
      read("gray.jpg").subarray(0, -2),
      withSegment(Buffer.alloc(2), 0xe1, segment(6)).subarray(2),
    ]);
    expect(await decode(Buffer.concat([late, Buffer.of(0xff, 0xd9)]))).toEqual(plain);
  });

  // What Pillow 12.3.0 reads and refuses of these.
  it.each<[string, number[], boolean]>([
    ["a restart marker", [0xff, 0xd7], true],
    ["fill bytes before its end marker", [0xff, 0xff, 0xff, 0xd9], true],
    ["other bytes before its end marker", [1, 2, 3, 4, 0xff, 0xd9], true],
    ["many other bytes", Array(12).fill(7), true],
    ["half a segment", [0xff, 0xe0, 0xff, 0xff, 1], true],
    ["a segment of no length", [0xff, 0xe0, 0, 1], true],
    ["half a scan", [0xff, 0xda], true],
    ["nothing", [], false],
    ["its end marker without the first byte", [0, 0xd9], false],
    ["another beginning", [0xff, 0xd8, 0xff, 0xd9], false],
    ["a marker that is none", [0xff, 0xf0], false],
  ])("in one scan may end with %s: %#", async (_, tail, right) => {
    for (const name of ["baseline-420.jpg", "cmyk-420.jpg"]) {
      const file = Buffer.concat([read(name).subarray(0, -2), Buffer.from(tail)]);
      if (right) expect(await decode(file)).toEqual(await decode(read(name)));
      else await refused(file, /damaged or truncated/);
    }
  });

  it("in several scans ends with its end marker", async () => {
    const file = read("progressive-420.jpg").subarray(0, -2);
    expect(await decode(Buffer.concat([file, Buffer.of(1, 2, 0xff, 0xd9)]))).toEqual(
      await decode(read("progressive-420.jpg")),
    );
    for (const tail of [[0xff, 0xd7], [0xff, 0xe0, 0xff, 0xff], Array(12).fill(7)]) {
      await refused(Buffer.concat([file, Buffer.from(tail)]), /truncated/);
    }
  });

  it("ignores what follows its end marker, and what lies in segments that nobody needs", async () => {
    const plain = await decode(read("baseline-420.jpg"));
    expect(await decode(Buffer.concat([read("baseline-420.jpg"), read("gray.jpg"), Buffer.alloc(99, 0xff)]))).toEqual(
      plain,
    );
    const whole = withSegment(read("baseline-420.jpg"), 0xe2, read("gray.jpg"));
    expect(await decode(whole)).toEqual(plain);
  });

  const baseline = read("baseline-420.jpg");
  const scan = baseline.subarray(baseline.indexOf(Buffer.of(0xff, 0xda)), baseline.length - 2);
  it.each<[string, Uint8Array, RegExp]>([
    ["60,000 x 60,000 pixels", resized(baseline, 60_000, 60_000), /at most 178956970 pixels.* found 60000 x 60000/],
    ["far more pixels than its bytes can hold", resized(baseline, 10_000, 10_000), /bytes cannot hold them/],
    ["the same of CMYK", resized(read("cmyk-420.jpg"), 10_000, 10_000), /bytes cannot hold them/],
    ["no width", resized(baseline, 0, 17), /found 0 x 17/],
    ["no height", resized(baseline, 23, 0), /found 23 x 0/],
    ["no frame", Buffer.of(0xff, 0xd8, 0xff, 0xd9), /a frame and a scan/],
    ["two frames", withSegment(baseline, 0xc0, Buffer.from([8, 0, 9, 0, 9, 1, 1, 0x11, 0])), /one whole frame header/],
    ["half a frame header", withSegment(baseline, 0xc0, Buffer.from([8, 0, 9])), /one whole frame header/],
    [
      "a segment of length 1",
      withSegment(baseline, 0xe5, Buffer.alloc(0)).fill(1, 5, 6),
      /segments of at least 2 bytes/,
    ],
    [
      "12 bits a sample",
      Buffer.from(baseline).fill(
        12,
        baseline.indexOf(Buffer.of(0xff, 0xc0)) + 4,
        baseline.indexOf(Buffer.of(0xff, 0xc0)) + 5,
      ),
      /wanted .* 8 bits a sample, found 12 bits a sample/,
    ],
    [
      "lossless coding",
      Buffer.from(baseline).fill(
        0xc3,
        baseline.indexOf(Buffer.of(0xff, 0xc0)) + 1,
        baseline.indexOf(Buffer.of(0xff, 0xc0)) + 2,
      ),
      /wanted a baseline or progressive JPEG .*, found lossless coding/,
    ],
    [
      "101 scans",
      Buffer.concat([baseline.subarray(0, -2), ...Array(100).fill(scan), Buffer.of(0xff, 0xd9)]),
      /at most 100 scans of 391 pixels, found 101/,
    ],
    [
      "64 megapixels in 21 scans, a minute's work at 100",
      withSegment(
        Buffer.concat([resized(baseline, 8000, 8000).subarray(0, -2), ...Array(20).fill(scan), Buffer.of(0xff, 0xd9)]),
        0xfe,
        Buffer.alloc(65_000),
      ),
      /at most 20 scans of 64000000 pixels, found 21/,
    ],
  ])("refuses %s", (_, file, message) => refused(file, message));

  it("decodes after a failure, and several files at once", async () => {
    await refused(resized(baseline, 23, 0), /found/);
    const wanted = pictures.map(({ rgb_sha256 }) => rgb_sha256);
    const bad = decode(withSegment(baseline, 0xc9, Buffer.alloc(2))).catch(() => undefined);
    const found = await Promise.all(pictures.map(async ({ file }) => sha256(await decode(read(file)))));
    await bad;
    expect(found).toEqual(wanted);
  });

  it("shows globalThis to no decoder", async () => {
    const before = Reflect.ownKeys(globalThis);
    await decode(read("cmyk-420.jpg"));
    await decode(baseline);
    expect(Reflect.ownKeys(globalThis)).toEqual(before);
  });

  it("tries again at the next picture after no thread could be started", async () => {
    let failing = true;
    vi.resetModules();
    vi.doMock("node:worker_threads", async (original) => {
      const { Worker } = await original<typeof import("node:worker_threads")>();
      class Scarce extends Worker {
        constructor(...rest: ConstructorParameters<typeof Worker>) {
          if (failing) throw new Error("EMFILE: too many open files");
          super(...rest);
        }
      }
      return { Worker: Scarce };
    });
    const fresh = await import("../../src/node/images/decode.ts");
    vi.doUnmock("node:worker_threads");
    await expect(fresh.decode(baseline, "x.jpg")).rejects.toThrow(/^x\.jpg: wanted .*, found "EMFILE.*; /);
    failing = false;
    expect((await fresh.decode(baseline)).width).toBe(23);
  });

  it("decodes while the thread goes on with other work, and stops waiting when told to", async () => {
    const large = await encodeLarge();
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const pixels = await decode(large);
    clearInterval(timer);
    expect(pixels.width * pixels.height).toBe(12_000_000);
    expect(turns).toBeGreaterThan(10);
    const stop = new AbortController();
    const aborted = decode(large, "x.jpg", { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    await expect(decode(large, "x.jpg", { signal: stop.signal })).rejects.toThrow("enough");
  });

  it("refuses more pixels than it is allowed to, and leaves all to a decoder of one's own", async () => {
    expect((await decode(baseline, "x.jpg", { maxPixels: 23 * 17 })).width).toBe(23);
    await expect(decode(baseline, "x.jpg", { maxPixels: 390 })).rejects.toThrow(
      /^x\.jpg: wanted at most 390 pixels, found 23 x 17; /,
    );
    const mine = { width: 1, height: 1, data: Uint8Array.of(1, 2, 3) };
    expect(await decode(baseline, "x.jpg", { decode: () => mine })).toBe(mine);
    expect(await decode(Buffer.from("GIF89a"), "x.gif", { decode: async () => mine })).toBe(mine);
    const failing = () => Promise.reject(new Error("no sharp"));
    await expect(decode(baseline, "x.jpg", { decode: failing })).rejects.toThrow(
      /^x\.jpg: wanted .* fails with "no sharp"/,
    );
    for (const bad of [undefined, {}, { width: 1, height: 1, data: new Uint8Array(4) }]) {
      await expect(decode(baseline, "x.jpg", { decode: () => bad as Pixels })).rejects.toBeInstanceOf(SiglipError);
    }
  });

  it.each([
    ["12 bits a sample", 4, 12],
    ["lossless coding", 1, 0xc3],
    ["hierarchical coding", 1, 0xc5],
  ])("calls %s unsupported, not damaged", async (_, at, value) => {
    const frame = baseline.indexOf(Buffer.of(0xff, 0xc0));
    const error = await decode(Buffer.from(baseline).fill(value, frame + at, frame + at + 1)).catch((cause) => cause);
    expect(error.code).toBe("unsupported");
    expect(error.message).not.toContain("damaged");
  });
});
