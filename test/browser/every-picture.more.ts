// Pictures in every browser that is installed: the same bytes everywhere.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { PNG } from "pngjs";
import { afterAll, beforeAll, expect } from "vitest";
import { fromRgba, type Pixels } from "../../src/image/pixels.ts";
import { decode } from "../../src/node/images/decode.ts";
import { IMAGES } from "../harness/pictures.ts";
import { bundle } from "./bundle.ts";
import { crafted, damaged } from "./crafted.ts";
import type { DrivenPage } from "./drivers/driver.ts";
import { type EveryBrowser, inEveryBrowser, loadScripts } from "./drivers/every.ts";
import { firefoxWithWebGl } from "./drivers/firefox.ts";
import type { Sent } from "./page.ts";
import { CMYK_MEAN, expectEqual, meanDifference, received } from "./pixels.ts";
import { type Site, serveSite } from "./site.ts";

const examples = new URL("../../weights/demo/examples/", import.meta.url);
const images = new URL(`file://${IMAGES}/`);
const field = new URL("../fixtures/field/", import.meta.url);
const folders = { examples, images, field };
const json = (name: string, base: URL) => JSON.parse(readFileSync(new URL(name, base), "utf8"));

interface Listed {
  readonly file: string;
  readonly decoded?: string;
}
const listed: Listed[] = json("index.json", images);
const made = new Map(crafted());
const bad = new Map(Object.entries(damaged()));
/** Every picture by its address, and PIL's pixels of it where they are kept; Node's, which others hold against PIL, else. */
const pictures = new Map<string, URL | undefined>([
  ...listed
    .filter(({ file }) => !file.startsWith("borrowed/"))
    .map(({ file, decoded }) => [`images/${file}`, decoded ? new URL(decoded, images) : undefined] as const),
  ...readdirSync(field)
    .filter((file) => existsSync(new URL(`${file}.expected.png`, field)))
    .map((file) => [`field/${file}`, new URL(`${file}.expected.png`, field)] as const),
  ...json("examples.json", examples).examples.map(({ file }: Listed) => [`examples/${file}`, undefined] as const),
  ...[...made.keys()].map((name) => [name, undefined] as const),
]);
/** What browsers' own JPEG decoders take otherwise: libjpeg-turbo's versions differ where scans are missing. */
const WITHIN = new Map([["field/prog-dc-only.jpg", 4]]);

let site: Site;
beforeAll(async () => {
  const { scripts } = await bundle(["page.ts"]);
  const broken = [...bad].map(([name, [bytes]]) => [name, bytes] as const);
  site = await serveSite(new Map([...scripts, ...made, ...broken]), folders);
});
afterAll(async () => site?.[Symbol.asyncDispose]());

function fileOf(picture: string): URL {
  const [folder, file] = picture.split("/");
  return new URL(file, folders[folder as keyof typeof folders]);
}

async function wantedPixels(picture: string, pil: URL | undefined): Promise<Pixels> {
  if (!pil) return decode(made.get(picture) ?? readFileSync(fileOf(picture)), picture);
  const { data, width, height } = PNG.sync.read(readFileSync(pil));
  return fromRgba(data, width, height);
}

/** In a page: a picture as whatever can be drawn, and what becomes of each. */
async function drawAndDecode(url: string) {
  const exact: ImageBitmapOptions = { premultiplyAlpha: "none", colorSpaceConversion: "none" };
  const img = Object.assign(new Image(), { src: url });
  await img.decode();
  const bitmap = await createImageBitmap(new Blob([await siglip.fetchBytes(url)]), exact);
  const things: Record<string, ImageBitmapSource> = { img, bitmap };
  // Opaque ones alone: a canvas premultiplies, and Firefox makes other colours of a transparent frame.
  if (url.includes("photo")) {
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    const context = canvas.getContext("2d")!;
    context.drawImage(bitmap, 0, 0);
    const data = context.getImageData(0, 0, bitmap.width, bitmap.height);
    Object.assign(things, { canvas, data, frame: new VideoFrame(bitmap, { timestamp: 0 }) });
  }
  const found: Record<string, Sent | { refused: string }> = {};
  for (const [kind, thing] of Object.entries(things)) {
    found[kind] = await siglip.decode(thing).catch((error: Error) => ({ refused: `${error.name}: ${error.message}` }));
  }
  return { webgl: new OffscreenCanvas(1, 1).getContext("webgl2") !== null, found };
}

function declare(browser: EveryBrowser): void {
  let opened: Promise<DrivenPage> | undefined;
  /** The page that the cases share. */
  const library = () => {
    opened ??= browser.openPage().then(async (page) => {
      await loadScripts(page, site.url, { "/page.js": "siglip" });
      return page;
    });
    return opened;
  };

  for (const [picture, pil] of pictures) {
    browser.test(`the pixels of ${picture}`, "", async () => {
      const page = await library();
      const answer = await page.evaluate(
        (url) => siglip.decode(url).catch((error: Error) => ({ refused: `${error.name}: ${error.message}` })),
        `/${picture}`,
      );
      if ("refused" in answer) {
        // Some browsers' JPEG decoders lack it, which has to be said by name.
        expect(picture).toBe("field/s-arith.jpg");
        return expect(answer.refused).toMatch(/^SiglipError: .* found arithmetic coding; .*\.$/);
      }
      const found = received(answer);
      const wanted = await wantedPixels(picture, pil);
      const within = WITHIN.get(picture);
      if (picture === "images/cmyk.jpg") expect(meanDifference(found.data, wanted.data)).toBeLessThan(CMYK_MEAN);
      else if (within === undefined) expectEqual(found, wanted);
      else expect(Math.max(...wanted.data.map((v, i) => Math.abs(v - found.data[i])))).toBeLessThanOrEqual(within);
    });
  }

  for (const picture of ["images/photo-640x480.png", "images/alpha-RGBA.png", "wider-than-a-texture.png"]) {
    browser.test(`what can be drawn of ${picture}, transparent where there is WebGL 2`, "", async () => {
      const { webgl, found } = await (await library()).evaluate(drawAndDecode, `/${picture}`);
      expect(webgl).toBe(browser.name === "chromium" || browser.name === "firefox webgl");
      const wanted = await wantedPixels(picture, undefined);
      for (const [kind, answer] of Object.entries(found)) {
        if (picture.includes("photo") || webgl) expectEqual(received(answer as Sent), wanted);
        else
          expect(answer, kind).toMatchObject({ refused: expect.stringMatching(/wanted WebGL 2 to read its transp/) });
      }
    });
  }

  for (const [name, [, why]] of bad) {
    browser.test(`refuses, in one sentence, ${name}`, "", async () => {
      const page = await library();
      const found = await page.evaluate(
        async (name) => siglip.failure(siglip.decode(await siglip.fetchBytes(name))),
        encodeURI(`/${name}`),
      );
      expect(found).toMatch(/^SiglipError: .*wanted .*, found .*; .*\.$/);
      expect(found).toMatch(why);
    });
  }
}

inEveryBrowser(declare, { "firefox webgl": firefoxWithWebGl });
