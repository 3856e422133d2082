import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import type { Pixels } from "../../src/image/pixels.ts";
import { decode } from "../../src/node/images/decode.ts";

const folder = new URL("../fixtures/formats/", import.meta.url);
const read = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
const { pictures } = JSON.parse(readFileSync(new URL("index.json", folder), "utf8")) as {
  pictures: { file: string; width: number; height: number; rgb_sha256: string }[];
};
const sha256 = ({ data }: Pixels) => createHash("sha256").update(data).digest("hex");

/** Decoders that round otherwise than PIL, and by how many levels of 255 at most. */
const CLOSE: Readonly<Record<string, number>> = { "colours.avif": 6 };

describe("WebP, GIF, BMP, TIFF and AVIF", () => {
  for (const { file, width, height, rgb_sha256 } of pictures.filter(({ file }) => !(file in CLOSE))) {
    it(`${file} is what PIL makes of it, to the bit`, async () => {
      const pixels = await decode(read(file));
      expect([pixels.width, pixels.height, sha256(pixels)]).toEqual([width, height, rgb_sha256]);
    });
  }

  it.each(Object.entries(CLOSE))("%s is within %i levels of what the judge makes of it", async (file, most) => {
    const { data } = await decode(read(file));
    const wanted = read(`${file}.rgb`);
    expect(data.length).toBe(wanted.length);
    expect(Math.max(...data.map((value, i) => Math.abs(value - wanted[i])))).toBeLessThanOrEqual(most);
  });

  it("of more pixels than are allowed are refused unread", async () => {
    for (const file of pictures.map(({ file }) => file)) {
      await expect(decode(read(file), "x", { maxPixels: 100 })).rejects.toThrow(
        /^x: wanted at most 100 pixels, found /,
      );
    }
  });

  it("are known by their contents, whatever brand comes first", async () => {
    const mif1 = read("grey.avif");
    mif1.set(Buffer.from("mif1"), 8);
    expect(sha256(await decode(mif1))).toBe(sha256(await decode(read("grey.avif"))));
    const plain = read("grey.avif");
    for (let at = 8; at < 32; at += 4) if (at !== 12) plain.set(Buffer.from("mif1"), at);
    await expect(decode(plain, "x")).rejects.toThrow(
      /^x: wanted a PNG, JPEG, .*, found a HEIF picture in a rare coding; /,
    );
  });

  it("name the package that is missing", async () => {
    vi.resetModules();
    vi.doMock("node:module", async (original) => ({
      ...(await original<typeof import("node:module")>()),
      createRequire: () => ({
        resolve() {
          throw new Error("not found");
        },
      }),
    }));
    const fresh = await import("../../src/node/images/decode.ts");
    vi.doUnmock("node:module");
    await expect(fresh.decode(read("grey.avif"), "x")).rejects.toThrow(
      /^x: wanted the npm package @jsquash\/avif for AVIF pictures, found that it is not installed; run npm install @jsquash\/avif /,
    );
    await expect(fresh.decode(read("colours.heic"), "x")).rejects.toMatchObject({ code: "unsupported" });
  });
});
