// Bundles `siglip/static`: `npm run build` puts what this writes in the place of dist/src/static.js.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** Without the demo model, and with the thread's script where it lies beside this one. */
const asOneFile: Plugin = {
  name: "as one file",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/files\/demo\.ts$/ }, () => ({ path: path("../files/demo-left-out.ts") }));
    onLoad({ filter: /[\\/]browser[\\/]threads\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      const contents = text.replace('"./thread.js"', '"./browser/thread.js"');
      return contents === text ? { errors: [{ text: "no ./thread.js to name anew" }] } : { contents, loader: "ts" };
    });
  },
};

/** The script: readable, since whoever minifies does so for all of an application. */
export async function bundleStatic(): Promise<string> {
  const licence = readFileSync(join(dirname(createRequire(import.meta.url).resolve("entities")), "../LICENSE"), "utf8");
  const { outputFiles } = await build({
    entryPoints: [path("../static.ts")],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "warning",
    plugins: [asOneFile],
    footer: { js: `/* HTML's names are of npm's entities:\n\n${licence.trim()}\n*/` },
  });
  return outputFiles[0].text;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [target] = process.argv.slice(2);
  writeFileSync(target, await bundleStatic());
  rmSync(`${target}.map`, { force: true });
}
