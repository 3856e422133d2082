import { describe, expect, it } from "vitest";
import { Siglip } from "../../src/node.ts";
import { rgbPng, synthetic } from "../harness/pictures.ts";

const picture = synthetic(40, 30);
const load = (options: object) => Siglip.load("demo", { backend: "cpu", dtype: "f32", towers: ["image"], ...options });

describe("Siglip.load", () => {
  it("with maxPixels refuses larger pictures", async () => {
    const model = await load({ maxPixels: 1199 });
    await expect(model.embedImages([rgbPng(picture)])).rejects.toMatchObject({ code: "bad-input" });
    await expect(model.embedImages([rgbPng(picture)])).rejects.toThrow(/wanted at most 1199 pixels, found 40 x 30/);
    model.dispose();
  });

  it("with decode leaves picture files to it, by their bytes and names", async () => {
    const seen: [number, string][] = [];
    const decode = async (bytes: Uint8Array, name: string) => {
      seen.push([bytes.length, name]);
      return picture;
    };
    const model = await load({ decode });
    const file = new File([new Uint8Array([1, 2, 3])], "x.tiff");
    const found = await model.embedImages([file, picture]);
    expect(seen).toEqual([[3, "x.tiff"]]);
    expect(found.data.subarray(0, model.dim)).toEqual(found.data.subarray(model.dim));
    model.dispose();
  });

  it.each([
    [{ maxPixels: 0 }, /^maxPixels: wanted a whole number from 1 to 178956970, found 0; /],
    [{ maxPixels: 178_956_971 }, /^maxPixels: wanted .*, found 178956971; /],
    [{ maxPixels: "9" }, /^maxPixels: /],
    [{ decode: "sharp" }, /^decode: wanted a function .*, found string; /],
  ])("refuses %j", async (options, message) => {
    await expect(load(options)).rejects.toThrow(message);
  });
});
