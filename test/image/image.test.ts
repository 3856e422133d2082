import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { PNG } from "pngjs";
import { describe, expect, it } from "vitest";
import { fromRgba, type Pixels } from "../../src/image/pixels.ts";
import { type Filter, resize } from "../../src/image/resize.ts";
import { decode } from "../../src/node/images/decode.ts";
import { borrowedImages, IMAGES } from "../harness/pictures.ts";

interface Entry {
  readonly file: string;
  readonly width: number;
  readonly height: number;
  /** `filter-side` to the file of PIL's resize. */
  readonly resized: Readonly<Record<string, string>>;
  /** PIL's decode, where the file is a JPEG or an odd PNG. */
  readonly decoded?: string;
  readonly decoded_crop?: { readonly box: readonly [number, number, number, number]; readonly file: string };
}

const entries = JSON.parse(readFileSync(`${IMAGES}/index.json`, "utf8")) as Entry[];

/** What PIL made, stored as a plain RGB or grey PNG, read by a decoder that is not ours. */
function expected(path: string): Pixels {
  const file = readFileSync(path);
  // pngjs paints a colour key's pixels black: the chunk gets a name that it skips.
  const key = file.indexOf("tRNS");
  if (key > 0) file.write("tRNs", key);
  const { width, height, data } = PNG.sync.read(file, { checkCRC: false });
  return fromRgba(data, width, height);
}

function expectEqual(actual: Pixels, wanted: Pixels): void {
  expect([actual.width, actual.height]).toEqual([wanted.width, wanted.height]);
  expect(Buffer.compare(actual.data, wanted.data)).toBe(0);
}

function crop({ width, data }: Pixels, [left, top, right, bottom]: readonly number[]): Pixels {
  const rows = [];
  for (let y = top; y < bottom; y++) rows.push(data.subarray(3 * (y * width + left), 3 * (y * width + right)));
  return { width: right - left, height: bottom - top, data: Buffer.concat(rows) };
}

describe("every fixture picture is what PIL makes of it, to the bit", () => {
  it("and there are some", () => {
    expect(entries.length).toBeGreaterThanOrEqual(34);
  });

  for (const entry of entries) {
    it(entry.file, async ({ skip }) => {
      const folder = entry.file.startsWith("borrowed/") ? borrowedImages() : IMAGES;
      if (!folder) skip("the folder of borrowed fixtures is absent (SIGLIP_BORROWED)");
      const pixels = await decode(readFileSync(`${folder}/${entry.file}`), entry.file);
      expect([pixels.width, pixels.height]).toEqual([entry.width, entry.height]);
      if (entry.decoded) expectEqual(pixels, expected(`${folder}/${entry.decoded}`));
      if (entry.decoded_crop) {
        expectEqual(crop(pixels, entry.decoded_crop.box), expected(`${folder}/${entry.decoded_crop.file}`));
      }
      for (const [how, file] of Object.entries(entry.resized)) {
        const [filter, side] = how.split("-");
        expectEqual(resize(pixels, Number(side), Number(side), filter as Filter), expected(`${folder}/${file}`));
      }
    });
  }
});

describe("every example of the demo model becomes the bytes its logits were made from", () => {
  const folder = new URL("../../weights/demo/examples/", import.meta.url);
  const examples = JSON.parse(readFileSync(new URL("examples.json", folder), "utf8")).examples as {
    file: string;
    width: number;
    height: number;
    resized_rgb_sha256: string;
  }[];

  for (const { file, width, height, resized_rgb_sha256 } of examples) {
    it(file, async () => {
      const pixels = await decode(readFileSync(new URL(file, folder)), file);
      expect([pixels.width, pixels.height]).toEqual([width, height]);
      const { data } = resize(pixels, 112, 112, "bicubic");
      expect(createHash("sha256").update(data).digest("hex")).toBe(resized_rgb_sha256);
    });
  }
});
