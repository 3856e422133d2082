import { demoFiles } from "../browser/demo.ts";
import { SiglipError } from "../error.ts";
import type { ModelFiles } from "../files.ts";
import { type LoadOptions, loadModel } from "../load.ts";
import { Siglip as SiglipModel } from "../siglip.ts";
import { filePath } from "./file.ts";
import { folderFiles } from "./files.ts";
import { type NodeImage, nodePlatform } from "./platform.ts";

export * from "../public.ts";
export { type FileSource, fileSource } from "./file.ts";
export type { NodeImage } from "./platform.ts";

/** A SigLIP model in Node, Deno or Bun: pictures are paths, URLs, bytes, Blobs or pixels. */
export class Siglip extends SiglipModel<NodeImage> {
  /**
   * Loads a model: `"demo"` (the one embedded in this package) or the path or file URL of a folder with `config.json`,
   * `model.safetensors` (or its shards and index) and, for texts, `spiece.model`. Rejects with a SiglipError for whatever is
   * missing, damaged or contradictory, and with the signal's reason when it is aborted; nothing stays allocated then.
   */
  static async load(model: string | URL, options: LoadOptions = {}): Promise<Siglip> {
    return new Siglip(await loadModel(await findFiles(model), nodePlatform, options));
  }
}

async function findFiles(model: string | URL): Promise<ModelFiles> {
  if (model === "demo") return demoFiles();
  if (model instanceof URL && model.protocol === "file:") return folderFiles(filePath(model));
  if (typeof model === "string" && model !== "") return folderFiles(model);
  throw new SiglipError(`Siglip.load: wanted "demo" or a folder, found ${String(model) || '""'}; name a model.`);
}
