import { readdirSync, readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { PNG } from "pngjs";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { fromRgba } from "../../src/image/pixels.ts";
import { decode } from "../../src/node/images/decode.ts";
import { borrowedImages, IMAGES } from "../harness/pictures.ts";
import { crafted, damaged, fixture } from "./crafted.ts";
import type { Sent } from "./page.ts";
import { CMYK_MEAN, expectEqual, meanDifference, received } from "./pixels.ts";
import { inChromium, type Setup, setUp } from "./setup.ts";

const demo = new URL("../../weights/demo/examples/", import.meta.url);
const field = new URL("../fixtures/field/", import.meta.url);
/** Files that people met; Chromium's JPEGs differ a little where a progressive one lacks scans, and it knows no arithmetic coding. */
const met = readdirSync(field).filter((name) => !/expected|cgbi|prog-dc-only|s-arith/.test(name));
const fixtures = names(JSON.parse(readFileSync(`${IMAGES}/index.json`, "utf8")));
const examples = names(JSON.parse(readFileSync(new URL("examples.json", demo), "utf8")).examples);

const bad = damaged();
const files = new Map<string, Uint8Array>([
  ...crafted(),
  ...Object.entries(bad).map(([name, [bytes]]) => [name, bytes] as const),
]);
let chromium: Setup;
let page: Page;

beforeAll(async () => {
  for (const file of fixtures) {
    const folder = file.startsWith("borrowed/") ? borrowedImages() : IMAGES;
    if (folder) files.set(file.replaceAll("/", "-"), readFileSync(`${folder}/${file}`));
  }
  for (const file of readdirSync(field)) files.set(file, readFileSync(new URL(file, field)));
  for (const file of examples) files.set(file, readFileSync(new URL(file, demo)));
  chromium = await setUp(["page.ts"], {}, files);
});
afterAll(async () => chromium?.[Symbol.asyncDispose]());

function names(entries: readonly { file: string }[]): string[] {
  return entries.map(({ file }) => file);
}

describe("a page decodes to Node's pixels", () => {
  for (const file of [...fixtures, ...examples, ...met, ...names(crafted().map(([file]) => ({ file })))]) {
    inChromium(file, "chromium", async ({ skip }) => {
      const name = file.replaceAll("/", "-");
      const bytes = files.get(name);
      if (!bytes) return skip("the folder of borrowed fixtures is absent (SIGLIP_BORROWED)");
      page ??= await chromium.openPage();
      const { sent, same } = await page.evaluate(async (name) => {
        const bytes = await siglip.fetchBytes(name);
        const ways = [
          bytes,
          bytes.buffer,
          new Blob([bytes]),
          new File([bytes], name),
          name,
          new URL(name, location.href),
        ];
        const sent = await Promise.all(ways.map((way) => siglip.decode(way)));
        return { sent: sent[0], same: sent.every(({ base64 }) => base64 === sent[0].base64) };
      }, name);
      expect(same).toBe(true);
      const found = received(sent);
      if (name !== "cmyk.jpg") return expectEqual(found, await decode(bytes));
      const pil = PNG.sync.read(fixture("expected/cmyk.decoded.png"));
      const wanted = fromRgba(pil.data, pil.width, pil.height);
      expect(meanDifference(found.data, wanted.data)).toBeLessThan(CMYK_MEAN);
    });
  }

  inChromium("a bitmap wider than a texture, in tiles", "chromium", async () => {
    page ??= await chromium.openPage();
    const name = "wider-than-a-texture.png";
    const sent = await page.evaluate(async (name) => {
      const blob = new Blob([await siglip.fetchBytes(name)]);
      return siglip.decode(await createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" }));
    }, name);
    expectEqual(received(sent), await decode(files.get(name)!));
  });

  inChromium("what Chromium itself decodes otherwise, within 4 levels or not at all", "chromium", async () => {
    page ??= await chromium.openPage();
    const found = received(await page.evaluate(() => siglip.decode("prog-dc-only.jpg")));
    const { data } = await decode(files.get("prog-dc-only.jpg")!);
    expect(Math.max(...data.map((value, i) => Math.abs(value - found.data[i])))).toBeLessThanOrEqual(4);
    expect(await page.evaluate(() => siglip.failure(siglip.decode("s-arith.jpg")))).toMatch(/found arithmetic coding/);
    expect(await page.evaluate(() => siglip.failure(siglip.decode("png-cgbi-real.png")))).toMatch(/Apple's variant/);
  });

  inChromium("from whatever can be drawn", "chromium", async () => {
    page ??= await chromium.openPage();
    for (const name of ["alpha-RGBA.png", "photo-640x480.png", "exif-orientation-6.jpg"]) {
      const wanted = await decode(files.get(name)!);
      const found = await page.evaluate(async (name) => {
        const img = new Image();
        img.src = name;
        const exact = await createImageBitmap(new Blob([await siglip.fetchBytes(name)]), {
          premultiplyAlpha: "none",
          colorSpaceConversion: "none",
        });
        const canvas = document.createElement("canvas");
        const offscreen = new OffscreenCanvas(exact.width, exact.height);
        [canvas.width, canvas.height] = [exact.width, exact.height];
        canvas.getContext("2d")!.drawImage(exact, 0, 0);
        const context = offscreen.getContext("2d")!;
        context.drawImage(exact, 0, 0);
        const frame = new VideoFrame(exact, { timestamp: 0 });
        const decoded = await siglip.decode(name);
        const data = Uint8Array.from(atob(decoded.base64), (character) => character.charCodeAt(0));
        const drawable = { img, exact, frame, pixels: { ...decoded, data } };
        const premultiplied = { canvas, offscreen, imageData: context.getImageData(0, 0, exact.width, exact.height) };
        const sent: Record<string, Sent> = {};
        for (const [kind, image] of Object.entries({ ...drawable, ...premultiplied }))
          sent[kind] = await siglip.decode(image);
        frame.close();
        return sent;
      }, name);
      for (const [kind, sent] of Object.entries(found)) {
        if (name === "alpha-RGBA.png" && ["canvas", "offscreen", "imageData"].includes(kind)) {
          // Premultiplied before anyone sees them; but all three alike.
          expectEqual(received(sent), received(found.canvas));
        } else expectEqual(received(sent), wanted);
      }
    }
  });

  inChromium("without WebGL, and PNGs of every kind, others opaque", "chromium", async () => {
    const page = await chromium.openPage(() => {
      const { getContext } = OffscreenCanvas.prototype;
      OffscreenCanvas.prototype.getContext = function (this: OffscreenCanvas, kind: string, ...rest: unknown[]) {
        return kind === "webgl2" ? null : Reflect.apply(getContext, this, [kind, ...rest]);
      } as typeof getContext;
    });
    for (const name of ["big-1600x1200-420.jpg", "gray16.png", "alpha-RGBA.png"]) {
      expectEqual(received(await page.evaluate((name) => siglip.decode(name), name)), await decode(files.get(name)!));
    }
    const transparent = await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(4, 4);
      const context = canvas.getContext("2d")!;
      context.fillStyle = "#12345678";
      context.fillRect(0, 0, 4, 4);
      return siglip.failure(siglip.decode(await canvas.convertToBlob({ type: "image/webp", quality: 1 })));
    });
    expect(transparent).toMatch(/^SiglipError: a picture: wanted WebGL 2/);
    await page.close();
  });

  inChromium("again after a lost WebGL context, which is told", "chromium", async () => {
    const page = await chromium.openPage(() => {
      const { readPixels } = WebGL2RenderingContext.prototype;
      let calls = 0;
      WebGL2RenderingContext.prototype.readPixels = function (this: WebGL2RenderingContext, ...rest: unknown[]) {
        if (++calls === 2) this.getExtension("WEBGL_lose_context")!.loseContext();
        Reflect.apply(readPixels, this, rest);
      } as typeof readPixels;
    });
    const name = "big-1600x1200-420.jpg";
    expect(await page.evaluate((name) => siglip.failure(siglip.decode(name)), name)).toMatch(/^SiglipError: .*WebGL/);
    expectEqual(received(await page.evaluate((name) => siglip.decode(name), name)), await decode(files.get(name)!));
    await page.close();
  });
});

describe("a page refuses, in one sentence,", () => {
  for (const [name, [, why]] of Object.entries(bad)) {
    inChromium(name, "chromium", async () => {
      page ??= await chromium.openPage();
      const found = await page.evaluate(
        async (name) => siglip.failure(siglip.decode(await siglip.fetchBytes(name))),
        name,
      );
      expect(found).toMatch(/^SiglipError: .*wanted .*, found .*; .*\.$/);
      expect(found).toMatch(why);
    });
  }

  inChromium("what is no picture", "chromium", async () => {
    page ??= await chromium.openPage();
    const found = await page.evaluate(async () => {
      const closed = await createImageBitmap(new ImageData(2, 2));
      closed.close();
      const broken = new Image();
      broken.src = "nothing.png";
      const svg = new Image();
      svg.src = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>";
      const foreign = new Image();
      foreign.src = location.href.replace("127.0.0.1", "localhost").concat("photo-640x480.png");
      const short = { width: 2, height: 2, data: new Uint8Array(11) };
      const empty = document.createElement("canvas");
      empty.width = 0;
      const things = [
        closed,
        broken,
        svg,
        foreign,
        short,
        empty,
        document.createElement("video"),
        7,
        null,
        undefined,
        {},
      ];
      const places = ["nothing.png", "http://127.0.0.1:9/", "no-scheme://x/", new URL("data:,hello")];
      return Promise.all([...things, ...places].map((thing) => siglip.failure(siglip.decode(thing as string))));
    });
    for (const failure of found) expect(failure).toMatch(/^SiglipError: .*wanted .* found .*; .*\.$/);
    expect(found[3]).toContain("another origin");
  });
});
