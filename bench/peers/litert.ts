import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Layer, sampled } from "./inputs.ts";
import type { Loaded } from "./measure.ts";
import { linearTflite, type TfliteDType } from "./tflite.ts";

interface LiteRtTensor {
  toTypedArray(): Float32Array;
  delete(): void;
}

/** What we use of @litertjs/core. */
interface LiteRt {
  loadLiteRt(folder: string, options: { threads: boolean }): Promise<unknown>;
  loadAndCompile(
    model: Uint8Array,
    options: { accelerator: "wasm"; cpuOptions: { numThreads: number } },
  ): Promise<{ readonly isFullyAccelerated: boolean; run(inputs: LiteRtTensor[]): Promise<LiteRtTensor[]> }>;
  Tensor: new (data: Float32Array, shape: readonly number[]) => LiteRtTensor;
}

/**
 * One linear layer through LiteRT.js, whose XNNPACK runs in wasm. It is written for pages and workers: here it is made to believe that it
 * is in one that loads scripts by `importScripts`. With more than one thread it takes another module, which wants relaxed SIMD.
 */
export async function litertLayer(dtype: TfliteDType, layer: Layer, threads: number): Promise<Loaded> {
  const require = createRequire(import.meta.url);
  const folder = fileURLToPath(new URL("node_modules/@litertjs/core/wasm/", import.meta.url));
  // Its scripts are CommonJS in a package of ES modules, which pages do not mind.
  await writeFile(join(folder, "package.json"), '{ "type": "commonjs" }\n');
  const importScripts = (path: string) => Object.assign(globalThis, { ModuleFactory: require(path) });
  Object.assign(globalThis, { self: globalThis, importScripts });

  const { loadLiteRt, loadAndCompile, Tensor } = (await import("@litertjs/core" as string)) as LiteRt;
  await loadLiteRt(folder, { threads: threads > 1 });
  const options = { accelerator: "wasm", cpuOptions: { numThreads: threads } } as const;
  const model = await loadAndCompile(await linearTflite(layer, dtype), options);
  if (!model.isFullyAccelerated) throw new Error("LiteRT.js does not run this layer on XNNPACK");
  const x = new Tensor(layer.x, [layer.rows, layer.depth]);
  return {
    async output() {
      const [y] = await model.run([x]);
      const values = sampled(y.toTypedArray(), layer.out);
      y.delete();
      return values;
    },
    async run() {
      const [y] = await model.run([x]);
      y.delete();
    },
  };
}
