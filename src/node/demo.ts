import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SiglipError } from "../error.ts";

/** The folder of the embedded demo model, with its `examples`: weights/demo beside src, and beside dist in the package. */
export function findDemo(): string {
  for (const up of ["../../weights/demo/", "../../../weights/demo/"]) {
    const folder = fileURLToPath(new URL(up, import.meta.url));
    if (existsSync(`${folder}config.json`)) return folder;
  }
  throw new SiglipError(
    "The demo model was wanted, found no weights/demo in this installation; install the package again.",
  );
}
