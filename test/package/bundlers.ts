import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import * as vite from "vite";
import type { Project } from "./project.ts";

/** Makes of a project's page.js and worker.js what a server sends, in the folder `out`, with the page index.html. */
type Build = (project: string, out: string, runtimes: string) => Promise<void>;

/** Every way into a page, each with the settings that its documentation starts with. */
export const builds: Readonly<Record<string, Build>> = {
  async "no bundler"(project, out) {
    // A worker has no import map, so that both name the file as they would on a CDN.
    for (const file of ["score.js", "page.js", "worker.js"]) {
      const text = readFileSync(join(project, file), "utf8");
      writeFileSync(join(out, file), text.replace('"siglip"', '"/node_modules/siglip/dist/src/index.js"'));
    }
  },
  async esbuild(project, out) {
    const entryPoints = [join(project, "page.js"), join(project, "worker.js")];
    await esbuild.build({ entryPoints, outdir: out, bundle: true, format: "esm", splitting: true, minify: true });
  },
  async vite(project, out) {
    cpSync(join(out, "index.html"), join(project, "index.html"));
    await vite.build({ root: project, base: "./", build: { outDir: out }, logLevel: "error" });
  },
  async webpack(project, out, runtimes) {
    const { webpack } = createRequire(join(runtimes, "webpack"))("webpack");
    const output = { path: out, filename: "page.js" };
    // To squeeze 7 MB of base64 takes seconds and changes nothing.
    const optimization = { minimize: false };
    const options = { mode: "production", context: project, entry: "./page.js", output, optimization };
    const stats = await new Promise<{ hasErrors(): boolean; toString(): string }>((resolve, reject) =>
      webpack(options, (error: Error | null, stats: never) => (error ? reject(error) : resolve(stats))),
    );
    if (stats.hasErrors()) throw new Error(stats.toString());
  },
};

/** Builds in one of these ways and returns the page's path in the project. */
export async function buildPage(name: string, project: string, runtimes: string): Promise<string> {
  const path = `out/${name.replace(" ", "-")}`;
  const out = join(project, path);
  mkdirSync(out, { recursive: true });
  writeFileSync(
    join(out, "index.html"),
    '<!doctype html><title>siglip</title><script type="module" src="./page.js"></script>',
  );
  await builds[name](project, out, runtimes);
  return `${path}/index.html`;
}

/** Bundles the example for Cloudflare as Wrangler does, and returns the folder of cloudflare.js and the modules that it names. */
export async function bundleWorker({ folder }: Project): Promise<string> {
  const [entry, outdir] = [join(folder, "cloudflare.js"), join(folder, "out/workerd")];
  cpSync(fileURLToPath(new URL("../../docs/examples/cloudflare/worker.js", import.meta.url)), entry);
  const conditions = ["workerd", "worker", "browser"];
  const loader = { ".wasm": "copy" } as const;
  await esbuild.build({ entryPoints: [entry], outdir, bundle: true, format: "esm", conditions, loader });
  return outdir;
}
