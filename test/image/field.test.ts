import { readdirSync, readFileSync } from "node:fs";
import { PNG } from "pngjs";
import { describe, expect, it } from "vitest";
import { fromRgba } from "../../src/image/pixels.ts";
import { decode } from "../../src/node/images/decode.ts";

const folder = new URL("../fixtures/field/", import.meta.url);
const expected = readdirSync(folder).filter((name) => name.endsWith(".expected.png"));

/** libjpeg-turbo smooths files whose scans are not all there differently from version to version, by at most this much. */
const TOLERANCE = new Map([["prog-dc-only.jpg", 4]]);

describe("files that people met are what PIL makes of them", () => {
  it("and there are some", () => expect(expected.length).toBeGreaterThanOrEqual(9));

  for (const file of expected) {
    const name = file.slice(0, -".expected.png".length);
    it(name, async () => {
      const pixels = await decode(readFileSync(new URL(name, folder)), name);
      const pil = PNG.sync.read(readFileSync(new URL(file, folder)));
      const { width, height, data } = fromRgba(pil.data, pil.width, pil.height);
      expect([pixels.width, pixels.height]).toEqual([width, height]);
      const most = data.reduce((found, value, i) => Math.max(found, Math.abs(value - pixels.data[i])), 0);
      expect(most).toBeLessThanOrEqual(TOLERANCE.get(name) ?? 0);
    });
  }

  it("but Apple's CgBI, a kind of its own, is told by name", async () => {
    const error = await decode(readFileSync(new URL("png-cgbi-real.png", folder)), "x.png").catch((cause) => cause);
    expect(error).toMatchObject({ name: "SiglipError", code: "unsupported" });
    expect(error.message).toMatch(/^x\.png: wanted a PNG of the standard, found Apple's variant CgBI; .*\.$/);
  });
});
