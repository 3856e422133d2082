import { readFileSync } from "node:fs";
import type { CeilingShaders } from "./ceilings.ts";
import { type Bench, openBench } from "./device.ts";

/** As src/node/gpu.ts asks for, and matrix units, which Dawn calls unsafe; timestamps are not rounded to 65,536 ns. */
const TOGGLES = [
  "enable-dawn-features=vulkan_enable_f16_on_nvidia,use_vulkan_memory_model,allow_unsafe_apis",
  "disable-dawn-features=timestamp_quantization",
];

/** Dawn's instance must outlive everything made from it. */
let instance: GPU | undefined;

async function findGpu(): Promise<GPU | undefined> {
  if (globalThis.navigator?.gpu) return globalThis.navigator.gpu;
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  instance ??= create(TOGGLES);
  return instance;
}

/** The bench's device in Node or Deno; a `portable` one has no matrix units. */
export async function openNodeBench(portable = false): Promise<Bench> {
  return openBench(await findGpu(), false, portable);
}

/** The text of bench/ceilings/<name>.wgsl. */
function shader(name: string): string {
  return readFileSync(new URL(`../ceilings/${name}.wgsl`, import.meta.url), "utf8");
}

/** The shaders of the ceilings. */
export const CEILING_SHADERS: CeilingShaders = { fma: shader("fma"), copy: shader("copy"), matrix: shader("matrix") };
