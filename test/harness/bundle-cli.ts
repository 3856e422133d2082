import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where the command line lies for the tests, from the repository's folder. */
export const BUNDLE = "dist/test/cli/main.js";

/** Bundles the command line: tests start it hundreds of times, each in a third of what its sources take. */
export function bundleCli(): void {
  buildSync({
    entryPoints: ["src/cli/main.ts"],
    outdir: "dist/test/cli",
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    sourcemap: "linked",
    logLevel: "error",
  });
}
