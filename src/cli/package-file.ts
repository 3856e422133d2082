import { readFileSync } from "node:fs";

/** A text file of this package, by its path from the root: above src, or above dist. */
export function readPackageFile(path: string): string {
  for (const up of ["../../", "../../../"]) {
    try {
      return readFileSync(new URL(up + path, import.meta.url), "utf8");
    } catch {}
  }
  throw new Error(`The package lacks its ${path}.`);
}
