import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cutPatches } from "../../src/image/cut-patches.ts";
import { fromRgba, MAX_PIXELS, MAX_SIDE, type Pixels } from "../../src/image/pixels.ts";
import { type ImageProcessing, pixelValues, preprocess, preprocessPatches } from "../../src/image/preprocess.ts";
import { type Filter, resize, resizeSteps } from "../../src/image/resize.ts";
import { resizeBySimd } from "../../src/node/images/worker/resize.ts";
import { SiglipError } from "../../src/support/error.ts";
import { synthetic } from "../harness/pictures.ts";

const FILTERS: readonly Filter[] = ["bilinear", "bicubic"];
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

/** SHA-256 of the RGB bytes that Pillow 12.3.0 gives for `synthetic(width, height)` resized: width, height, to width, to height. */
const PIL: readonly (readonly [number, number, number, number, Filter, string])[] = [
  [33000, 1, 64, 48, "bicubic", "4b01d442f4be210acee10046dbb61572ac9b82603ef589640b1f1d7870de0465"],
  [1, 33000, 48, 64, "bicubic", "29edf60242cc20ed19dcfebf11e7c2cecba9b3d7ea92b0bbbeed30e411d8f530"],
  [33000, 2, 7, 5, "bilinear", "758a623d7fd105259215db651048cf428f368583b7566a1d5311429ea98243b0"],
  [3, 33000, 9, 4, "bilinear", "c57f4223bf34eea4f4ba5e8c5da9519648498749e66c62ca8073808cb9152c6c"],
  [640, 480, 384, 384, "bicubic", "49663443bcdd8de63b4ff597da1394cd7f2625c2abf7fbbeccce828ad1a4290a"],
  [640, 480, 384, 384, "bilinear", "458a5bb40506e8f95f0e559009cdd88e461ae5da3038cccc3461351ea5484ab2"],
  [640, 480, 640, 100, "bicubic", "db61395a65f8a8d2e85be9d8a5df1108fe9cd0b4a3b856a5840c82165c5a7e9d"],
  [640, 480, 100, 480, "bilinear", "a42fdf2bd47fef2f4583b01dd7711f288c705f42c393fe55c766919683997c47"],
  [5, 7, 800, 600, "bicubic", "2bc423e166955c5089aa6def07dac5c18760c32cd6ffae14fd16efab69633cb5"],
  [5, 7, 800, 600, "bilinear", "b188ce5144ebf555d844d7c741c421b4fc6c06cc1391119c9706ade8e6347b81"],
  [1000, 3, 1, 1, "bicubic", "f0bfa9ca26cb91203e9acac654e84a194bc96d127df153bd85ca9051a50a3257"],
];

/** Antialiased resampling of one channel as the textbook writes it, in float64, rounded to bytes after each pass. */
function textbook(rows: number[][], width: number, height: number, filter: Filter): number[][] {
  const kernel = (distance: number) => {
    const x = Math.abs(distance);
    if (filter === "bilinear") return Math.max(0, 1 - x);
    if (x >= 2) return 0;
    return x < 1 ? 1.5 * x ** 3 - 2.5 * x ** 2 + 1 : -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2;
  };
  const line = (values: number[], to: number) =>
    Array.from({ length: to }, (_, t) => {
      const scale = values.length / to;
      const weights = values.map((_, i) => kernel((i + 0.5 - (t + 0.5) * scale) / Math.max(scale, 1)));
      const total = weights.reduce((a, b) => a + b);
      const sum = values.reduce((acc, value, i) => acc + value * weights[i], 0);
      return Math.min(255, Math.max(0, Math.round(sum / total)));
    });
  const turn = (grid: number[][]) => grid[0].map((_, x) => grid.map((row) => row[x]));
  return turn(turn(rows.map((row) => line(row, width))).map((column) => line(column, height)));
}

const channel = ({ width, height, data }: Pixels, c: number) =>
  Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => data[3 * (y * width + x) + c]));

describe("resize", () => {
  for (const [width, height, toWidth, toHeight, filter, hash] of PIL) {
    it(`equals PIL: ${width} x ${height} to ${toWidth} x ${toHeight}, ${filter}`, () => {
      expect(sha256(resize(synthetic(width, height), toWidth, toHeight, filter).data)).toBe(hash);
    });
  }

  it("is within one level of the textbook in float64", () => {
    const side = fc.integer({ min: 1, max: 24 });
    const property = fc.property(
      side,
      side,
      side,
      side,
      fc.constantFrom(...FILTERS),
      fc.infiniteStream(fc.nat(255)),
      (w, h, tw, th, filter, bytes) => {
        const pixels = { width: w, height: h, data: Uint8Array.from({ length: 3 * w * h }, () => bytes.next().value!) };
        const actual = resize(pixels, tw, th, filter);
        for (let c = 0; c < 3; c++) {
          const wanted = textbook(channel(pixels, c), tw, th, filter).flat();
          const found = channel(actual, c).flat();
          // 22-bit weights move a sum by at most 2e-5 of a level a tap, so only ties and what follows from them differ.
          expect(Math.max(...wanted.map((value, i) => Math.abs(value - found[i])))).toBeLessThanOrEqual(1);
        }
      },
    );
    fc.assert(property, { seed: 1, numRuns: 150 });
  });

  it("keeps a constant picture constant", () => {
    const side = fc.integer({ min: 1, max: 400 });
    const property = fc.property(
      side,
      side,
      side,
      side,
      fc.nat(255),
      fc.constantFrom(...FILTERS),
      (w, h, tw, th, value, filter) => {
        const out = resize({ width: w, height: h, data: new Uint8Array(3 * w * h).fill(value) }, tw, th, filter);
        expect(out.data.every((found) => found === value)).toBe(true);
      },
    );
    fc.assert(property, { seed: 2, numRuns: 60 });
  });

  it("gives the same bytes for the same size, in a new picture", () => {
    const pixels = synthetic(31, 17);
    const out = resize(pixels, 31, 17, "bicubic");
    expect(out).toEqual(pixels);
    expect(out.data).not.toBe(pixels.data);
  });

  it("commutes with turning a picture upside down", () => {
    const pixels = synthetic(40, 30);
    const upsideDown = ({ width, height, data }: Pixels): Pixels => {
      const rows = Array.from({ length: height }, (_, y) => data.subarray(3 * width * y, 3 * width * (y + 1)));
      return { width, height, data: new Uint8Array(Buffer.concat(rows.reverse())) };
    };
    expect(resize(upsideDown(pixels), 16, 10, "bicubic")).toEqual(upsideDown(resize(pixels, 16, 10, "bicubic")));
  });

  it("in steps yields now and then and ends with the same picture", () => {
    const pixels = synthetic(20, 640);
    const steps = resizeSteps(pixels, 10, 10, "bilinear");
    let count = 0;
    let step = steps.next();
    for (; !step.done; step = steps.next()) count++;
    expect(count).toBe(10);
    expect(step.value).toEqual(resize(pixels, 10, 10, "bilinear"));
  });

  it.each([
    [{ width: 2, height: 2, data: new Uint8Array(11) }, 4, 4, /wanted 12 bytes of RGB .* found 11/],
    [{ width: 0, height: 2, data: new Uint8Array(0) }, 4, 4, /found 0 x 2/],
    [{ width: 2.5, height: 2, data: new Uint8Array(15) }, 4, 4, /found 2\.5 x 2/],
    [synthetic(2, 2), 0, 4, /size to resize to: .* found 0 x 4/],
    [synthetic(2, 2), Number.NaN, 4, /found NaN x 4/],
    [synthetic(2, 2), MAX_SIDE + 1, 1, /found 1000001 x 1/],
    [synthetic(2, 2), MAX_SIDE, Math.floor(MAX_PIXELS / MAX_SIDE) + 1, /wanted at most 178956970 pixels/],
  ])("refuses a picture or a size that cannot be (case %#)", (pixels, width, height, message) => {
    expect(() => resize(pixels, width, height, "bicubic")).toThrow(SiglipError);
    expect(() => resize(pixels, width, height, "bicubic")).toThrow(message);
  });
});

describe("pixelValues", () => {
  const half: ImageProcessing = {
    size: [60, 60],
    resample: "bicubic",
    rescale: 0.00392156862745098,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  };

  // SHA-256 of the float32 bytes that the arithmetic of Hugging Face's PIL processor gives in numpy 2.4 for `synthetic(160, 120)`.
  it.each([
    [half, "e78f42fa5a39eeac09534a65f3da8613bc3a867068f064823f79c37c66f148ef"],
    [
      { ...half, mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] } as const,
      "63723824313e38925d42b364b9441b2b86dfa848f2ac47ca133b240af8a46ffc",
    ],
  ])("equals Hugging Face's float32 to the bit (case %#)", (processing, hash) => {
    const values = pixelValues(synthetic(160, 120), processing);
    expect(values.length).toBe(3 * 60 * 60);
    expect(sha256(new Uint8Array(values.buffer))).toBe(hash);
  });

  it("takes 0 to -1 and 255 to 1, channel by channel", () => {
    const red = { width: 1, height: 1, data: Uint8Array.of(255, 0, 0) };
    expect([...pixelValues(red, { ...half, size: [1, 1] })]).toEqual([1, -1, -1]);
  });
});

describe("patches", () => {
  const processing: ImageProcessing = {
    size: [17, 19],
    resample: "bicubic",
    rescale: 1 / 255,
    mean: [0.5, 0.4, 0.3],
    std: [0.5, 0.25, 0.2],
  };
  const picture = synthetic(40, 30);

  /** The value at (picture, row, column, channel, y, x), looked up one by one. */
  function lookUp(
    values: Float32Array,
    count: number,
    [height, width]: readonly [number, number],
    patch: number,
  ): number[] {
    const found: number[] = [];
    for (let n = 0; n < count; n++)
      for (let row = 0; row < Math.floor(height / patch); row++)
        for (let column = 0; column < Math.floor(width / patch); column++)
          for (let c = 0; c < 3; c++)
            for (let y = 0; y < patch; y++)
              for (let x = 0; x < patch; x++)
                found.push(values[((n * 3 + c) * height + row * patch + y) * width + column * patch + x]);
    return found;
  }

  it.each([1, 4, 5, 8, 17])("of %i x %i, cut or written at once, hold the pixel values to the bit", async (patch) => {
    const values = pixelValues(picture, processing);
    expect(await preprocess(picture, processing)).toEqual(values);
    const wanted = lookUp(values, 1, processing.size, patch);
    expect([...cutPatches(values, { count: 1, channels: 3, height: 17, width: 19, patch })]).toEqual(wanted);
    expect([...(await preprocessPatches(picture, processing, patch))]).toEqual(wanted);
    const depth = 3 * patch * patch;
    const apart = await preprocessPatches(picture, processing, patch, depth + 5);
    const rows = Array.from({ length: wanted.length / depth }, (_, row) =>
      wanted.slice(row * depth, (row + 1) * depth),
    );
    expect([...apart]).toEqual(rows.flatMap((row) => [...row, 0, 0, 0, 0, 0]));
  });

  it("of several pictures follow each other", () => {
    const values = Float32Array.from({ length: 2 * 3 * 35 }, (_, i) => i);
    const shape = { count: 2, channels: 3, height: 5, width: 7, patch: 2 };
    expect([...cutPatches(values, shape)]).toEqual(lookUp(values, 2, [5, 7], 2));
  });

  it("refuses arrays of another length", () => {
    const short = new Float32Array(3 * 16 * 16 - 1);
    expect(() => cutPatches(short, { count: 1, channels: 3, height: 16, width: 16, patch: 8 })).toThrow(
      /wanted .*768 values, found 767/,
    );
  });
});

describe("resizing in SIMD instructions", () => {
  it("gives the bytes of resizing in plain ones, whatever the sizes", () => {
    const side = (most: number) => fc.integer({ min: 1, max: most });
    const sizes = fc.tuple(side(300), side(70), side(90), side(90), fc.constantFrom(...FILTERS), fc.integer());
    const property = fc.property(sizes, ([width, height, toWidth, toHeight, filter, seed]) => {
      // Black and white side by side make sums that have to be cut at both ends.
      const data = new Uint8Array(3 * width * height).map(
        (_, i) => [0, 255, i & 255][(Math.imul(i + seed, 2654435761) >>> 20) % 3],
      );
      const picture = { width, height, data };
      const { data: found } = resizeBySimd(picture, [toHeight, toWidth], filter);
      expect(Buffer.compare(found, resize(picture, toWidth, toHeight, filter).data)).toBe(0);
    });
    fc.assert(property, { seed: 3, numRuns: 150 });
  });

  it.each(PIL)("PIL %#", (width, height, toWidth, toHeight, filter, digest) => {
    expect(sha256(resizeBySimd(synthetic(width, height), [toHeight, toWidth], filter).data)).toBe(digest);
  });
});

describe("fromRgba", () => {
  it("drops alpha and multiplies nothing", () => {
    expect(fromRgba(Uint8Array.of(10, 20, 30, 0, 40, 50, 60, 128), 2, 1).data).toEqual(
      Uint8Array.of(10, 20, 30, 40, 50, 60),
    );
  });

  it("refuses another number of bytes", () => {
    expect(() => fromRgba(new Uint8Array(7), 2, 1)).toThrow(/wanted 8 bytes .* found 7/);
  });
});
