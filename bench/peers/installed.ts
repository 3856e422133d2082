import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const own = join(here, "node_modules");
const root = join(here, "..", "..", "node_modules");
const { platform, arch } = process;

/** Paths of the package files that Node loads, folders whole: nothing for other platforms, no types, no source maps. */
const FILES: Record<string, readonly string[]> = {
  dawn: [join(root, "webgpu", "index.js"), join(root, "webgpu", "dist", `${platform}-${arch}`)],
  "ort-node": [
    join(own, "onnxruntime-node", "dist"),
    join(own, "onnxruntime-node", "bin", "napi-v6", platform, arch),
    join(own, "onnxruntime-common", "dist", "cjs"),
  ],
  "ort-web": [
    ...["ort.node.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"].map((file) =>
      join(own, "onnxruntime-web", "dist", file),
    ),
    join(own, "onnxruntime-common", "dist", "esm"),
  ],
  jax: [join(own, "@jax-js", "jax", "dist")],
  litert: [
    ...["dist/index.js", "wasm/litert_wasm_threaded_internal.js", "wasm/litert_wasm_threaded_internal.wasm"].map(
      (file) => join(own, "@litertjs", "core", file),
    ),
    join(own, "@litertjs", "wasm-utils", "dist", "index.js"),
  ],
};

const PARTS: Record<string, readonly string[]> = {
  "ours-webgpu": ["dawn"],
  "ort-cpu": ["ort-node"],
  "ort-webgpu": ["ort-node"],
  "ort-webgpu-plain": ["ort-node"],
  "ort-wasm": ["ort-web"],
  "linear-ours-webgpu": ["dawn"],
  "linear-litert": ["litert"],
  "linear-jax-wasm": ["jax"],
  "linear-jax-webgpu": ["jax", "dawn"],
};

/**
 * Unpacked bytes of what a row needs at run time. Ours is one unminified bundle of the towers, the backends, the checkpoint
 * reader and the tokenizer, to which Node's WebGPU comes. Undefined of what no npm package brings, and without esbuild.
 */
export async function installedBytes(engine: string): Promise<number | undefined> {
  const own = engine.includes("ours") ? await bundled() : 0;
  if (engine === "torch" || own === undefined) return undefined;
  return (PARTS[engine] ?? []).flatMap((part) => FILES[part]).reduce((sum, path) => sum + bytes(path), own);
}

async function bundled(): Promise<number | undefined> {
  const esbuild = await import("esbuild").catch(() => undefined);
  if (!esbuild) return undefined;
  const { outputFiles } = await esbuild.build({
    stdin: { contents: 'export { ourTower } from "./ours.ts";', resolveDir: here, loader: "ts" },
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    packages: "external",
  });
  return outputFiles[0].contents.length;
}

function bytes(path: string): number {
  if (!existsSync(path)) return 0;
  if (statSync(path).isDirectory()) return readdirSync(path).reduce((sum, name) => sum + bytes(join(path, name)), 0);
  return /\.([cm]?js|wasm|node|json|so[.\d]*|[\w.]*dylib|dll)$/.test(path) ? statSync(path).size : 0;
}
