import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { ModelFiles } from "../files/model-files.ts";
import { mismatch } from "../support/error.ts";
import { briefSource, type FileSource, fileSource } from "./file.ts";

/** The files of a model in a folder. Rejects with a SiglipError where there is no such folder. */
export async function folderFiles(folder: string): Promise<ModelFiles> {
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) {
    throw mismatch(
      "not-found",
      folder,
      "a folder with a SigLIP model",
      found ? "a file" : "nothing",
      'name the folder that holds config.json, or "demo"',
    );
  }
  const opened: FileSource[] = [];
  return {
    name: folder,
    async open(file) {
      const path = join(folder, file);
      if (!(await stat(path).catch(() => undefined))) return undefined;
      const source = await (file.endsWith(".safetensors") ? fileSource : briefSource)(path);
      opened.push(source);
      return source;
    },
    async close() {
      await Promise.all(opened.splice(0).map((source) => source.close()));
    },
  };
}
