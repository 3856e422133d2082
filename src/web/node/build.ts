// Builds the page: `npm run build:web` writes it to dist/web, from where any static server serves it under any path.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type BuildOptions, build } from "esbuild";
import { embedKernels } from "../../../kernels/generate.ts";
import { embedDemo } from "../../../weights/embed.ts";

const web = new URL("../", import.meta.url);
const demo = new URL("../../../weights/demo/", import.meta.url);

/**
 * The page's files by their paths. Scripts and styles have a hash in their names, by which they may be kept for ever.
 */
export type Built = Map<string, Uint8Array>;

/** Bundles the page, its model's worker and threads, and the service worker that keeps them. */
export async function buildPage(): Promise<Built> {
  embedDemo();
  embedKernels();
  const entries = ["main.ts", "models/worker.ts", "bench/worker.ts", "styles/index.css"];
  const { outputFiles, metafile } = await build({
    ...shared,
    entryPoints: entries.map((entry) => fileURLToPath(new URL(entry, web))),
    format: "esm",
    splitting: true,
    outdir: "web",
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    metafile: true,
  });
  const files: Built = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
  const outputs = Object.entries(metafile.outputs);
  const output = (entry: string) =>
    basename(outputs.find(([, { entryPoint }]) => entryPoint?.endsWith(`src/web/${entry}`))![0]);
  const page = entries.reduce((html, entry) => html.replace(entry, output(entry)), read(new URL("index.html", web)));
  // The library looks for it under this name, beside its script.
  files.set("thread.js", await buildOne("../browser/thread.ts"));
  files.set("icon.svg", readFileSync(new URL("icon.svg", web)));
  copy("examples", /\.(png|jpg)$/);
  const first = [...files.keys(), "./"];
  copy("eval", /\.(png|jpg|jsonl)$/, "samples");
  const later = [...files.keys()].filter((name) => !first.includes(name));
  files.set("index.html", Buffer.from(page));
  const constants = { FILES: digests(files, first), LAZY: digests(files, later), VERSION: hash(files) };
  files.set("service-worker.js", await buildOne("service-worker.ts", constants));
  return files;

  function copy(folder: string, names: RegExp, to = folder): void {
    const from = new URL(`${folder}/`, demo);
    for (const name of readdirSync(from).sort()) {
      if (names.test(name)) files.set(`${to}/${name}`, readFileSync(new URL(name, from)));
    }
  }
}

const shared = {
  bundle: true,
  minify: true,
  target: "es2022",
  loader: { ".wgsl": "text" },
  write: false,
  logLevel: "warning",
} as const satisfies BuildOptions;

/** What the service worker checks files by; the page goes by its folder's address. */
function digests(files: Built, names: readonly string[]): Record<string, string> {
  const digest = (name: string) => createHash("sha256").update(files.get(name)!).digest("hex");
  return Object.fromEntries(names.map((name) => [name, digest(name === "./" ? "index.html" : name)]));
}

/** A script that is one file. */
async function buildOne(entry: string, define: Readonly<Record<string, unknown>> = {}): Promise<Uint8Array> {
  const { outputFiles } = await build({
    ...shared,
    entryPoints: [fileURLToPath(new URL(entry, web))],
    format: "iife",
    define: Object.fromEntries(Object.entries(define).map(([name, value]) => [name, JSON.stringify(value)])),
  });
  return outputFiles[0].contents;
}

function hash(files: Built): string {
  const sum = createHash("sha256");
  for (const [name, bytes] of files) sum.update(name).update(bytes);
  return sum.digest("hex").slice(0, 16);
}

function read(url: URL): string {
  return readFileSync(url, "utf8");
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const target = new URL("../../../dist/web/", import.meta.url);
  rmSync(target, { recursive: true, force: true });
  const files = await buildPage();
  for (const [name, bytes] of files) {
    const path = fileURLToPath(new URL(name, target));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }
  console.log(`dist/web: ${files.size} files`);
}
