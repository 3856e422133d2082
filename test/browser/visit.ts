// Visits to a page that keeps weights: a model for them, its server, and what the tests look at.
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";
import type { CachedModel, LoadOptions } from "../../src/index.ts";
import { parseConfig } from "../../src/model/config.ts";
import { serveFiles } from "../harness/server.ts";
import { syntheticSource } from "../judge/synthetic.ts";
import type { Setup } from "./setup.ts";

const demo = new URL("../../weights/demo/", import.meta.url);
const file = (name: string) => readFileSync(new URL(name, demo));

/** A model of one layer a tower, of widths that need no padding and more words than are kept in one file. */
export async function make(width: number) {
  const tower = { hidden_size: width, intermediate_size: 2 * width, num_hidden_layers: 1, num_attention_heads: 2 };
  const json = {
    model_type: "siglip",
    text_config: { ...tower, vocab_size: 1400, max_position_embeddings: 16 },
    vision_config: { ...tower, image_size: 28, patch_size: 14 },
  };
  const config = parseConfig(json);
  const source = syntheticSource(config);
  return { json: JSON.stringify(json), config, source, weights: await source.read(0, source.size) };
}
export const spiece = new Uint8Array(file("spiece.model"));
export const narrow = await make(64);
/** A server of a model at `m/`. */
export const serve = ({ json, weights } = narrow) =>
  serveFiles({ "m/config.json": json, "m/spiece.model": spiece, "m/model.safetensors": weights });

export const picture = file("examples/two-cats.png").toString("base64");
/** Texts to embed. */
export const words = ["a photo of two cats", "a plane in the sky"];

/** Pages that share their storage for the time of a test. */
export async function visitor(chromium: Setup): Promise<(before?: () => void) => Promise<Page>> {
  const context = await chromium.openContext();
  onTestFinished(() => context.close());
  return (before) => chromium.openPage(before, context);
}

/** What a visit to the page found. */
export interface Visit {
  readonly images: readonly number[];
  readonly texts: readonly number[];
  readonly warnings: readonly string[];
  /** Milliseconds that the load took. */
  readonly loading: number;
}

export interface VisitOptions extends LoadOptions {
  readonly words?: readonly string[];
  /** Waits until that many models are complete in the cache. */
  readonly complete?: number;
}

/** Loads the model in a page and embeds the picture and texts. */
export function visit(page: Page, url: string, options: VisitOptions = {}): Promise<Visit> {
  return page.evaluate(
    async ([url, { words = [], complete = 0, ...options }, picture]) => {
      const warnings: string[] = [];
      const began = performance.now();
      const onWarning = (message: string) => void warnings.push(message);
      const model = await siglip.Siglip.load(url, { backend: "cpu", ...options, onWarning });
      const loading = performance.now() - began;
      const images = await model.embedImages([new Blob([await siglip.fetchBytes(`data:image/png;base64,${picture}`)])]);
      const texts = words.length > 0 ? [...(await model.embedTexts(words)).data] : [];
      while ((await siglip.listCached()).filter((one) => one.complete).length < complete) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      model.dispose();
      return { images: [...images.data], texts, warnings, loading };
    },
    [url, options, picture] as const,
  );
}

/** Embeddings to the bit, and nothing odd but that the folder has no preprocessor_config.json. */
export function expectSame(found: Visit, first: Visit): void {
  expect(found.images).toEqual(first.images);
  expect(found.texts).toEqual(first.texts);
  expect(odd(found)).toEqual([]);
}

/** Its warnings, but for that one. */
export const odd = ({ warnings }: Visit) => warnings.filter((message) => !message.includes("preprocessor_config.json"));
export const list = (page: Page): Promise<CachedModel[]> => page.evaluate(() => siglip.listCached());
export const oneSentence = /^[^;]*wanted [^;]*, found [^;]*; [^;]*\.$/;

/** The names of the files in the only folder of the cache that are not empty. */
export function kept(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const names: string[] = [];
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("siglip-weights-1");
    for await (const folder of root.values()) {
      for await (const handle of (folder as FileSystemDirectoryHandle).values()) {
        if ((await (handle as FileSystemFileHandle).getFile()).size > 0) names.push(handle.name);
      }
    }
    return names;
  });
}

/** Inverts one byte of a file there. */
export function damage(page: Page, file: string): Promise<void> {
  return page.evaluate(async (file) => {
    const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("siglip-weights-1");
    for await (const folder of root.values()) {
      const handle = await (folder as FileSystemDirectoryHandle).getFileHandle(file);
      const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
      bytes[bytes.length >> 1] ^= 0x10;
      const writable = await handle.createWritable();
      await writable.write(bytes);
      await writable.close();
    }
  }, file);
}
