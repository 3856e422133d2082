import { readFileSync } from "node:fs";
import jpeg from "jpeg-js";
import { expect, it } from "vitest";
import { decode } from "../../src/node/images/decode.ts";

// A second opinion from a decoder that shares nothing with ours: jpeg-js, in plain JavaScript, with a float DCT and chroma
// taken from the nearest sample. Where chroma is not subsampled, two sound decoders differ by their rounding alone.
for (const [file, mean] of [
  ["q92-444.jpg", 1],
  ["gray.jpg", 1],
  ["cmyk.jpg", 0.1],
] as const) {
  it(`decodes ${file} as jpeg-js does, but for rounding`, async () => {
    const bytes = readFileSync(new URL(`../fixtures/images/${file}`, import.meta.url));
    const ours = await decode(bytes, file);
    const theirs = jpeg.decode(bytes, { useTArray: true, formatAsRGBA: false });
    expect([ours.width, ours.height]).toEqual([theirs.width, theirs.height]);
    let sum = 0;
    for (const [i, value] of ours.data.entries()) sum += Math.abs(value - theirs.data[i]);
    expect(sum / ours.data.length).toBeLessThan(mean);
  });
}
