import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { mismatch } from "../support/error.ts";

/** The folder of the demo model's example pictures: in weights/demo beside src, and beside dist in the package. */
export function findExamples(): string {
  for (const up of ["../../weights/demo/examples/", "../../../weights/demo/examples/"]) {
    const folder = fileURLToPath(new URL(up, import.meta.url));
    if (existsSync(folder)) return folder;
  }
  throw mismatch(
    "not-found",
    "the demo",
    "its pictures",
    "no weights/demo/examples in this installation",
    "install the package again",
  );
}
