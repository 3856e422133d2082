import type { ModelFiles } from "../files/model-files.ts";
import type { LoadOptions } from "../siglip/load.ts";
import { mismatch } from "../support/error.ts";

/** The files of what `Siglip.load` is given in a page or a worker. Rejects with a SiglipError where it is no model. */
export async function findFiles(model: string | URL | Iterable<File>, options: LoadOptions): Promise<ModelFiles> {
  if (model === "demo") return (await import("../files/demo.ts")).demoFiles();
  if (typeof model === "string" || model instanceof URL) {
    // A chunk of its own: files that were chosen, and the demo, need none of it.
    const { networkFiles } = await import("../network/network-files.ts");
    const base = /^[./]/.test(String(model)) ? (globalThis.document?.baseURI ?? globalThis.location?.href) : undefined;
    const found = networkFiles(URL.canParse(model, base) ? new URL(model, base) : (model as string), options, {
      spool: async (file, signal) => (await import("./storage/spool.ts")).spool(file, signal),
    });
    if (found) return found;
  } else if (typeof model === "object" && model !== null && Symbol.iterator in model) {
    const { listFiles } = await import("../files/list.ts");
    return listFiles(model);
  }
  const wanted = `"demo", org/name of the Hub, a URL or a list of Files`;
  const found = typeof model === "string" ? JSON.stringify(model) : typeof model;
  throw mismatch("bad-input", "Siglip.load", wanted, found, "name a model");
}
