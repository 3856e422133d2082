import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile } from "esbuild";

/** What a bundler makes of the browser's entry: scripts by name, and what is in them. */
export interface Bundle {
  readonly scripts: ReadonlyMap<string, Uint8Array>;
  readonly outputs: Metafile["outputs"];
}

/** Bundles modules of this folder as an application would: ES modules, with a chunk for what is imported on demand. */
export async function bundle(entries: readonly string[], minify = false): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    entryPoints: entries.map((entry) => fileURLToPath(new URL(entry, import.meta.url))),
    bundle: true,
    format: "esm",
    splitting: true,
    minify,
    target: "es2022",
    outdir: "out",
    write: false,
    metafile: true,
    logLevel: "warning",
  });
  const scripts = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
  const outputs = Object.fromEntries(Object.entries(metafile.outputs).map(([path, out]) => [basename(path), out]));
  return { scripts, outputs };
}

/** The scripts that come with an entry at once, without those it imports on demand. */
export function loadedWith({ outputs }: Bundle, entry: string): string[] {
  const names = [entry];
  for (const name of names) {
    for (const { path, kind } of outputs[name].imports) {
      if (kind === "import-statement" && !names.includes(basename(path))) names.push(basename(path));
    }
  }
  return names;
}

/** The script that is loaded for a module which is imported on demand, by the end of its path. */
export function chunkOf({ outputs }: Bundle, path: string): string {
  const found = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint?.endsWith(path));
  if (!found) throw new Error(`Wanted a chunk for ${path}, found none among the bundle's outputs.`);
  return found[0];
}

/** The script that holds the demo model. */
export function demoChunk({ outputs }: Bundle): string {
  const found = Object.entries(outputs).find(([, { inputs }]) =>
    Object.keys(inputs).some((path) => path.endsWith("weights/demo.generated.ts")),
  );
  if (!found) throw new Error("Wanted a chunk with the demo model, found none among the bundle's outputs.");
  return found[0];
}
