// Bundles `siglip/static` and `siglip/workerd`: `npm run build` puts what this writes in the place of dist/src/static.js and workerd.js.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
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

/** What stands in src/workerd in place of modules that make code at run time. */
const REPLACED: readonly (readonly [importer: RegExp, module: RegExp, by: string])[] = [
  [/[\\/]tensor[\\/]wasm[\\/]\w+\.ts$/, /^\.\/compile\.ts$/, "../workerd/compile.ts"],
  [/[\\/]kernels[\\/]wasm[\\/]index\.ts$/, /^\.\/probe\.ts$/, "../workerd/probe.ts"],
  [/[\\/]images[\\/]worker[\\/][\w-]+\.ts$/, /^\.\/compile\.ts$/, "../workerd/compile-decoder.ts"],
  [/[\\/]siglip[\\/]backends\.ts$/, /\/webgpu\/open\.ts$/, "../workerd/webgpu.ts"],
  [/[\\/]browser[\\/].*\.ts$/, /^\.\.?\/threads\.ts$/, "../workerd/threads.ts"],
];

/** With the WebAssembly that lies beside this script, which is named as it is from there. */
const compiledBefore: Plugin = {
  name: "compiled before",
  setup({ onResolve, onLoad }) {
    for (const [by, filter, replacement] of REPLACED) {
      onResolve({ filter }, ({ importer }) => (by.test(importer) ? { path: path(replacement) } : undefined));
    }
    onResolve({ filter: /\.wasm$/ }, ({ path }) => ({ path: path.replace("./", "./workerd/"), external: true }));
    onLoad({ filter: /[\\/]images[\\/]worker[\\/].*\.generated\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      const file = `./${basename(path, ".generated.ts")}.wasm`;
      const contents = text.replace(/^export const wasm: string = .*$/m, `export { default as wasm } from "${file}";`);
      return contents === text ? { errors: [{ text: "no wasm to name anew" }] } : { contents, loader: "ts" };
    });
  },
};

const PLUGINS = { static: [asOneFile], workerd: [compiledBefore, asOneFile] } as const;

/** The script: with its names, since whoever minifies does so for all of an application. */
export async function bundleStatic(entry: keyof typeof PLUGINS = "static"): Promise<string> {
  const licence = readFileSync(join(dirname(createRequire(import.meta.url).resolve("entities")), "../LICENSE"), "utf8");
  const { outputFiles } = await build({
    entryPoints: [path(`../${entry}.ts`)],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "warning",
    plugins: [...PLUGINS[entry]],
    footer: { js: `/* HTML's names are of npm's entities:\n\n${licence.trim()}\n*/` },
  });
  return outputFiles[0].text;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [folder] = process.argv.slice(2);
  for (const entry of ["static", "workerd"] as const) {
    const target = join(folder, `${entry}.js`);
    writeFileSync(target, await bundleStatic(entry));
    rmSync(`${target}.map`, { force: true });
  }
  // The compiler leaves it out, since it would put beside it all that it replaces.
  writeFileSync(join(folder, "workerd.d.ts"), 'export * from "./index.js";\n');
}
