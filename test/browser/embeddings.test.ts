import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { Siglip } from "../../src/node.ts";
import { IMAGES } from "../harness/pictures.ts";
import { compare } from "../judge/compare.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";

const demo = new URL("../../weights/demo/", import.meta.url);
const examples: { file: string; labels: string[] }[] = JSON.parse(
  readFileSync(new URL("examples/examples.json", demo), "utf8"),
).examples;
const texts = examples[0].labels;
/** Pictures of every kind; browser-images.test.ts holds the pixels of all of them. */
const pictures = [
  ...examples.slice(0, 3).map(({ file }) => `demo/examples/${file}`),
  ...["alpha-RGBA.png", "exif-orientation-6.jpg", "big-1600x1200-420.jpg"].map((file) => `images/${file}`),
];

let chromium: Setup;
beforeAll(async () => {
  chromium = await setUp(["page.ts"], { demo, images: new URL(`file://${IMAGES}/`) });
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

/**
 * From the same pixels and tokens on, runtimes differ in the last digit of `exp` and `tanh` on the cpu; a device rounds its
 * sums of K terms to float32. The golden files' bounds hold these against float64, and so twice these between any two.
 */
const BOUND = { cpu: 2e-6, webgpu: 2e-5 };

describe("embeddings in a page", () => {
  for (const backend of ["cpu", "webgpu"] as const) {
    inChromium(`on ${backend} are those of Node on the cpu`, backend, async ({ task }) => {
      if (backend === "webgpu") task.meta.siglip!.adapter = chromium.label;
      const page = await chromium.openPage();
      const found = await page.evaluate(
        async ([backend, pictures, texts]) => {
          const model = await siglip.Siglip.load("demo", { backend, dtype: "f32" });
          const embeddings = [await model.embedImages(pictures), await model.embedTexts(texts)];
          model.dispose();
          return embeddings.map(({ data, shape }) => ({ data: [...data], shape: [...shape] }));
        },
        [backend, pictures.map((name) => `/${name}`), texts] as const,
      );
      const model = await Siglip.load("demo", { backend: "cpu", dtype: "f32" });
      const folder = (name: string) =>
        name.startsWith("demo/") ? new URL(name.slice(5), demo) : new URL(`file://${IMAGES}/${name.slice(7)}`);
      const wanted = [await model.embedImages(pictures.map(folder)), await model.embedTexts(texts)];
      model.dispose();
      for (const [i, what] of ["images", "texts"].entries()) {
        const { data, shape } = found[i];
        const { relativeError } = compare(Float32Array.from(data), wanted[i].data, {
          shape: wanted[i].shape,
          label: `${what} on ${backend}`,
          relative: BOUND[backend],
        });
        console.log(`${what} in Chromium on ${backend} [${shape}] and in Node: relative error ${relativeError}`);
      }
    });
  }
});

describe("a picture of 50 megapixels", () => {
  inChromium("is embedded while the page goes on living", "webgpu", async ({ task }) => {
    task.meta.siglip!.adapter = chromium.label;
    const page = await chromium.openPage();
    const found = await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(8192, 6144);
      const context = canvas.getContext("2d")!;
      const bitmap = await createImageBitmap(new Blob([await siglip.fetchBytes("/images/big-1600x1200-420.jpg")]));
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      const file = await canvas.convertToBlob({ type: "image/jpeg" });
      canvas.width = 0;
      const model = await siglip.Siglip.load("demo", { backend: "webgpu", dtype: "f32" });
      const small = await model.embedImages(["/images/big-1600x1200-420.jpg"]);
      let turns = 0;
      let gap = 0;
      let last = performance.now();
      const began = last;
      const timer = setInterval(() => {
        turns++;
        gap = Math.max(gap, performance.now() - last);
        last = performance.now();
      });
      const large = await model.embedImages([file]);
      gap = Math.max(gap, performance.now() - last);
      const took = performance.now() - began;
      clearInterval(timer);
      model.dispose();
      const cosine = large.data.reduce((sum, value, i) => sum + value * small.data[i], 0);
      return { bytes: file.size, turns, gap, took, cosine };
    });
    console.log(
      `50 megapixels (${found.bytes} bytes of JPEG) in ${Math.round(found.took)} ms: ${found.turns} turns of a timer, the longest ` +
        `wait for one ${Math.round(found.gap)} ms`,
    );
    // One turn for every 2^20 pixels read, which the longest task of ours is bounded by; what the browser takes to decode, on
    // threads of its own and for a last copy on the page's, is not ours.
    expect(found.turns).toBeGreaterThanOrEqual((8192 * 6144) / 2 ** 20);
    // The same picture, but for a second compression.
    expect(found.cosine).toBeGreaterThan(0.99);
  });
});
