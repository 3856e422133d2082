import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkPixels, type Pixels } from "../../src/image/pixels.ts";
import { decode } from "../../src/node/images/decode.ts";
import { SiglipError } from "../../src/support/error.ts";

const folder = new URL("../fixtures/formats/", import.meta.url);
const read = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
const { pictures } = JSON.parse(readFileSync(new URL("index.json", folder), "utf8")) as {
  pictures: { file: string; rgb_sha256: string }[];
};
const sha256 = ({ data }: Pixels) => createHash("sha256").update(data).digest("hex");

/** A picture that keeps its promises, or a SiglipError; anything else fails the test. */
async function isPictureOrError(file: Uint8Array): Promise<boolean> {
  try {
    checkPixels(await decode(file, "x", { maxPixels: 1_000_000 }), "what decode gave");
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(SiglipError);
    expect((error as Error).message).toMatch(/^x: wanted .* found .*; .*\.$/s);
    expect((error as SiglipError).code).not.toBe("out-of-memory");
    return false;
  }
}

describe("pictures in other formats", () => {
  it("HEIC is within 4 levels of what an older libheif makes of it", async () => {
    const { data } = await decode(read("colours.heic"));
    const wanted = read("colours.heic.rgb");
    expect(data.length).toBe(wanted.length);
    expect(Math.max(...data.map((value, i) => Math.abs(value - wanted[i])))).toBeLessThanOrEqual(4);
    await expect(decode(read("colours.heic"), "x", { maxPixels: 100 })).rejects.toThrow("at most 100 pixels");
  });

  it("cut anywhere are refused, or whole but for what follows their pixels", async () => {
    for (const { file, rgb_sha256 } of pictures) {
      const bytes = read(file);
      for (let length = bytes.length - 1; length > 16; length -= Math.max(1, bytes.length >> 5)) {
        const cut = await decode(bytes.subarray(0, length), "x").catch((error) => error);
        if (cut instanceof SiglipError) expect(cut.message).toMatch(/^x: wanted .*, found .*; .*\.$/);
        else if (file !== "colours.avif") expect([file, length, sha256(cut)]).toEqual([file, length, rgb_sha256]);
      }
    }
  });

  it("changed anywhere give a picture or one sentence", async () => {
    const files = ["lossy-alpha.webp", "animated-inset.webp", "interlaced.gif", "rle8.bmp", "b565.bmp", "jpeg.tif"];
    const more = [
      "lzw-predictor.tif",
      "tiles.tif",
      "planes.tif",
      "packbits-palette.tif",
      "colours.avif",
      "colours.heic",
    ];
    let accepted = 0;
    for (const file of [...files, ...more]) {
      const change = fc.tuple(fc.noBias(fc.nat(read(file).length - 1)), fc.noBias(fc.nat(255)));
      const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const copy = read(file);
        // Half of the changes where headers and tables lie.
        for (const [at, value] of changes) copy[value % 2 ? at : at >> 4] = value;
        if (await isPictureOrError(copy)) accepted++;
      });
      await fc.assert(property, { seed: 7, numRuns: 600 });
    }
    expect(accepted).toBeGreaterThan(1000);
  });
});
