import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { anyLayout } from "../files/any-layout.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { isWeights } from "../network/urls.ts";
import { mismatch } from "../support/error.ts";
import { briefSource, type FileSource, fileSource } from "./file.ts";

/**
 * The files of a model in a folder, which a path names, or the safetensors or npz file in it, whatever that is called
 * there. Rejects with a SiglipError where there is neither.
 */
export async function folderFiles(path: string): Promise<ModelFiles> {
  const found = await stat(path).catch(() => undefined);
  const weights = found?.isFile() && isWeights(path) ? basename(path) : undefined;
  if (!weights && !found?.isDirectory()) {
    throw mismatch(
      "not-found",
      path,
      "a folder with a SigLIP model",
      found ? "a file" : "nothing",
      'name the folder that holds config.json, "demo", or org/name of the Hub',
    );
  }
  const folder = weights === undefined ? path : dirname(path);
  const npz = weights?.endsWith(".npz") ? weights : undefined;
  const opened: FileSource[] = [];
  return anyLayout({
    name: path,
    npz,
    async open(file) {
      const path = join(folder, file === "model.safetensors" && weights && !npz ? weights : file);
      if (!(await stat(path).catch(() => undefined))) return undefined;
      const source = await (isWeights(file) ? fileSource : briefSource)(path);
      opened.push(source);
      return source;
    },
    async close() {
      await Promise.all(opened.splice(0).map((source) => source.close()));
    },
  });
}
