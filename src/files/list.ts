import { mismatch } from "../support/error.ts";
import { anyLayout } from "./any-layout.ts";
import { blobSource } from "./blob.ts";
import type { ModelFiles } from "./model-files.ts";

/**
 * The files of a model among those that someone chose or dropped, by their names. Of several with one name (in a
 * chosen folder's subfolders) the one least deep counts; two at the same depth are refused with a SiglipError.
 */
export function listFiles(list: Iterable<File>): ModelFiles {
  const name = "the list of files";
  const byName = new Map<string, File>();
  for (const file of list) {
    if (!(file instanceof Blob && typeof file.name === "string")) {
      throw mismatch("bad-input", name, "Files", `${typeof file}`, "pass what a file input or a drop gives");
    }
    const other = byName.get(file.name);
    if (other && depth(other) === depth(file)) {
      throw mismatch("bad-input", name, `one ${file.name}`, "two", "choose the files of a single model");
    }
    if (!other || depth(file) < depth(other)) byName.set(file.name, file);
  }
  const npz = byName.has("config.json") ? [] : [...byName.keys()].filter((file) => file.endsWith(".npz"));
  return anyLayout({
    name,
    npz: npz.length === 1 ? npz[0] : undefined,
    async open(file) {
      const found = byName.get(file);
      return found && blobSource(found, file);
    },
    async close() {},
  });
}

function depth(file: File): number {
  return (file.webkitRelativePath ?? "").split("/").length;
}
