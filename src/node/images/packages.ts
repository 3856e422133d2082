import { createRequire } from "node:module";
import { mismatch } from "../../support/error.ts";
import type { Kind } from "./kinds.ts";

/** Packages that decode what few folders hold: large, and therefore the user's to install. The file is what a thread loads. */
const PACKAGES: Partial<
  Readonly<Record<Kind, { readonly name: string; readonly file: string; readonly size: string }>>
> = {
  avif: { name: "@jsquash/avif", file: "codec/dec/avif_dec.js", size: "9 MB" },
  heic: { name: "libheif-js", file: "libheif-wasm/libheif-bundle.js", size: "9 MB" },
};

/** Where the file lies that decodes a kind; undefined for kinds that every thread decodes. Throws a SiglipError where it is not installed. */
export function codecOf(kind: Kind, picture: string): string | undefined {
  const wanted = PACKAGES[kind];
  if (!wanted) return undefined;
  const { name, file, size } = wanted;
  // Beside this package, or, where it was bundled, beside what was started or in the folder one is in.
  for (const base of [import.meta.url, process.argv[1], `${process.cwd()}/`]) {
    try {
      return createRequire(base).resolve(`${name}/${file}`);
    } catch {
      // Not here.
    }
  }
  const kinds = `the npm package ${name} for ${kind.toUpperCase()} pictures`;
  throw mismatch("unsupported", picture, kinds, "that it is not installed", `run npm install ${name} (${size})`);
}
