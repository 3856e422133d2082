// The library in every browser that is installed: the golden cases, the embeddings, and what is kept.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect } from "vitest";
import { Siglip } from "../../src/node.ts";
import { COSINE_BOUND, TINY } from "../harness/golden.ts";
import { IMAGES } from "../harness/pictures.ts";
import { serveFiles } from "../harness/server.ts";
import { compare } from "../judge/compare.ts";
import { bundle } from "./bundle.ts";
import type { DrivenPage } from "./drivers/driver.ts";
import { inEveryBrowser, loadScripts } from "./drivers/every.ts";
import { type Site, serveSite } from "./site.ts";

const demo = new URL("../../weights/demo/", import.meta.url);
const images = new URL(`file://${IMAGES}/`);
const folders = { demo, images, golden: new URL("../golden/", import.meta.url) };
const json = (name: string, base: URL) => JSON.parse(readFileSync(new URL(name, base), "utf8"));

const examples: { file: string; labels: string[] }[] = json("examples/examples.json", demo).examples;
let site: Site;
beforeAll(async () => {
  const { scripts } = await bundle(["page.ts", "golden.ts", "worker.ts", "search.ts"]);
  site = await serveSite(scripts, folders);
});
afterAll(async () => site?.[Symbol.asyncDispose]());

function fileOf(picture: string): URL {
  const [folder, ...rest] = picture.split("/");
  return new URL(rest.join("/"), folders[folder as keyof typeof folders]);
}

/**
 * Has an engine take no relaxed instruction from now on, here or in a page: what is computed without them is the same on
 * every machine. Their opcodes are 0xfd and a number from 0x100 on as LEB128. Returns what undoes it.
 */
function withoutRelaxed(): () => void {
  const { validate } = WebAssembly;
  WebAssembly.validate = (bytes) => {
    const code = new Uint8Array(bytes as ArrayBuffer);
    return validate(bytes) && !code.some((byte, i) => byte === 0xfd && code[i + 1] >= 0x80 && code[i + 2] === 2);
  };
  return () => {
    WebAssembly.validate = validate;
  };
}

const embedded = examples.slice(0, 3).map(({ file }) => `demo/examples/${file}`);
embedded.push("images/alpha-RGBA.png", "images/exif-orientation-6.jpg", "images/big-1600x1200-420.jpg");
const texts = examples[0].labels;

async function embedInNode(backend: "wasm" | "cpu") {
  const model = await Siglip.load("demo", { backend, dtype: "f32", threads: 1 });
  const found = { images: await model.embedImages(embedded.map(fileOf)), texts: await model.embedTexts(texts) };
  model.dispose();
  return found;
}

function embedInPage(page: DrivenPage, backend: "wasm" | "cpu") {
  return page.evaluate(
    async ([backend, embedded, texts]) => {
      const model = await siglip.Siglip.load("demo", { backend, dtype: "f32" });
      const images = await model.embedImages(embedded.map((name) => `/${name}`));
      const found = { images: [...images.data], texts: [...(await model.embedTexts(texts)).data] };
      const { adapter } = model.device;
      model.dispose();
      return { ...found, adapter };
    },
    [backend, embedded, texts] as const,
  );
}

inEveryBrowser((browser) => {
  let opened: Promise<DrivenPage> | undefined;
  const freshLibrary = async () => {
    const page = await browser.openPage();
    await loadScripts(page, site.url, { "/page.js": "siglip", "/golden.js": "siglipGolden" });
    return page;
  };
  /** The page that most cases share. */
  const library = () => {
    opened ??= freshLibrary();
    return opened;
  };

  const judged = [
    ...TINY.flatMap((name) => [[name, "cpu", "f32"] as const, [name, "wasm", "f32"] as const]),
    ...(["f16", "q8", "i8", "q4"] as const).map((dtype) => ["tiny-hd72", "wasm", dtype] as const),
  ];
  for (const [name, backend, dtype] of judged) {
    browser.test(`golden ${name} on ${backend}, ${dtype} weights`, dtype, async () => {
      const page = await library();
      const asked = [name, backend, dtype] as const;
      const errors = await page.evaluate(([name, backend, dtype]) => siglipGolden.judge(name, backend, dtype), asked);
      if (dtype === "f32") expect(Object.keys(errors)).toContain("logits");
      else expect(Math.max(errors.image, errors.text)).toBeLessThanOrEqual(COSINE_BOUND[dtype]);
    });
  }

  browser.test("embeddings on wasm, without relaxed instructions those of Node to the bit", "f32", async () => {
    const undo = withoutRelaxed();
    const node = await embedInNode("wasm").finally(undo);
    const page = await freshLibrary();
    await page.evaluate(withoutRelaxed as () => void);
    const found = await embedInPage(page, "wasm");
    expect(found.adapter).toBe("1 thread, simd");
    for (const what of ["images", "texts"] as const) expect(found[what]).toEqual([...node[what].data]);
    await page.close();
  });

  for (const backend of ["wasm", "cpu"] as const) {
    browser.test(
      `embeddings on ${backend}, with all that the engine has those of Node within rounding`,
      "f32",
      async () => {
        const node = await embedInNode(backend);
        const found = await embedInPage(await library(), backend);
        for (const what of ["images", "texts"] as const) {
          const { shape, data } = node[what];
          const label = `${what} in ${browser.name} on ${backend} (${found.adapter})`;
          const relative = { wasm: 2e-5, cpu: 2e-6 }[backend];
          const { relativeError } = compare(Float32Array.from(found[what]), data, { shape, label, relative });
          console.log(`${label}: relative error ${relativeError}`);
        }
      },
    );
  }

  browser.test("logits in a module worker", "f16", async () => {
    const { file, labels, logits } = json("examples/examples.json", demo).examples[0];
    const found = await (await library()).evaluate(
      async ([image, texts]) => {
        const worker = new Worker("/worker.js", { type: "module" });
        const file = new Blob([await siglip.fetchBytes(image)]);
        worker.postMessage({ options: {}, image: file, texts });
        return new Promise<{ logits: number[]; backend: string }>((resolve) => {
          worker.onmessage = ({ data }) => resolve(data);
        });
      },
      [`/demo/examples/${file}`, labels] as const,
    );
    expect(found.backend).toBe("wasm");
    for (const [i, logit] of logits.entries()) expect(Math.abs(found.logits[i] - logit)).toBeLessThan(0.1);
  });

  browser.test("a model of a server is kept, or a warning says why not", "q8", async () => {
    const names = ["config.json", "preprocessor_config.json", "spiece.model", "model.safetensors"];
    const files = Object.fromEntries(names.map((name) => [`m/${name}`, readFileSync(new URL(name, demo))]));
    await using server = await serveFiles(files);
    const load = async (url: string) => {
      const warnings: string[] = [];
      const onWarning = (message: string) => void warnings.push(message);
      const model = await siglip.Siglip.load(url, { backend: "wasm", dtype: "q8", onWarning });
      const { data } = await model.embedTexts(["a photo of two cats"]);
      let kept = await siglip.listCached();
      while (warnings.length === 0 && !kept[0]?.complete) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        kept = await siglip.listCached();
      }
      model.dispose();
      return { warnings, data: [...data], kept: kept.length };
    };
    const page = await library();
    const first = await page.evaluate(load, `${server.url}m/`);
    const reads = () => server.requests.filter(({ path }) => path.endsWith("spiece.model")).length;
    const before = reads();
    const second = await page.evaluate(load, `${server.url}m/`);
    expect(second).toEqual(first);
    if (first.kept > 0) return expect(reads()).toBe(before);
    expect(await page.evaluate(() => typeof navigator.storage?.getDirectory)).toBe("undefined");
    expect(first.warnings).toEqual([
      expect.stringMatching(/: wanted to keep the weights .* found a page without private/),
    ]);
  });

  browser.test("an index of many and of few: searched while it is saved, loaded, and damaged", "f32", async () => {
    const page = await browser.openPage();
    await loadScripts(page, site.url, { "/search.js": "inSearch" });
    for (const [count, width] of [
      [300, 48],
      [16_500, 1024],
    ] as const) {
      const { sizes, found, pairs, failures } = await page.evaluate(
        ([count, width]) => inSearch.useIndex(count, width),
        [count, width] as const,
      );
      expect(sizes).toEqual([count - 1, count - 1, count - 1]);
      const scores = found.map((hits) => hits.map(({ score }) => score));
      expect(scores[1]).toEqual(scores[0]);
      expect(scores[2]).toEqual(scores[0]);
      expect(found[1].map(({ name }) => name)).toEqual(found[0].map(({ name }) => name));
      expect(found[0].map(({ name }) => name)).not.toContain("3.jpg");
      expect(pairs).toContainEqual([5, count]);
      for (const failure of failures)
        expect(failure).toMatch(/^SiglipError: [^;]*: wanted [^;]*, found [^;]*; [^;]*\.$/);
      expect(failures).toHaveLength(3);
    }
    await page.close();
  });
});
