import { demoFiles } from "./browser/demo.ts";
import { listFiles } from "./browser/list.ts";
import { type BrowserImage, browserPlatform } from "./browser/platform.ts";
import { urlFiles } from "./checkpoint/url.ts";
import { SiglipError } from "./error.ts";
import type { ModelFiles } from "./files.ts";
import { type LoadOptions, loadModel } from "./load.ts";
import { Siglip as SiglipModel } from "./siglip.ts";

export type { BrowserImage } from "./browser/platform.ts";
export * from "./public.ts";

/** A SigLIP model in a page or a worker: pictures are URLs, files, bytes, whatever can be drawn, or pixels. */
export class Siglip extends SiglipModel<BrowserImage> {
  /**
   * Loads a model: `"demo"` (the one embedded in this package, 7 MB that come only then), the URL of a folder with `config.json`,
   * `model.safetensors` (or its shards and index) and, for texts, `spiece.model` (a string with a scheme, or relative to the page when it
   * begins with `.` or `/`), or these files themselves as someone chose or dropped them. Rejects with a SiglipError for whatever is
   * missing, damaged or contradictory, and with the signal's reason when it is aborted; nothing stays allocated then.
   */
  static async load(model: string | URL | Iterable<File>, options: LoadOptions = {}): Promise<Siglip> {
    return new Siglip(await loadModel(await findFiles(model), browserPlatform, options));
  }
}

async function findFiles(model: string | URL | Iterable<File>): Promise<ModelFiles> {
  if (model === "demo") return demoFiles();
  if (model instanceof URL) return urlFiles(model);
  if (typeof model === "string") {
    const base = /^[./]/.test(model) ? (globalThis.document?.baseURI ?? globalThis.location?.href) : undefined;
    if (URL.canParse(model, base)) return urlFiles(new URL(model, base));
  } else if (typeof model === "object" && model !== null && Symbol.iterator in model) {
    return listFiles(model);
  }
  throw new SiglipError(
    `Siglip.load: wanted "demo", a URL or a list of Files, found ${typeof model === "string" ? JSON.stringify(model) : typeof model}; name a model.`,
  );
}
