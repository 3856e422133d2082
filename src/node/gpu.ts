import { mismatch } from "../support/error.ts";

/** Dawn hides matrix units, and on NVIDIA's Vulkan f16 and the memory model that those need, unless they are asked for. */
const TOGGLES = ["enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,use_vulkan_memory_model"];

/** Dawn's instance must outlive everything made from it. */
let instance: GPU | undefined;

/**
 * WebGPU: the runtime's own where it has one (Deno), else npm's `webgpu` (Dawn), an optional peer of this package.
 * Undefined where neither is there.
 */
export async function findGpu(): Promise<GPU | undefined> {
  if (instance) return instance;
  if (globalThis.navigator?.gpu) return globalThis.navigator.gpu;
  // Dawn crashes under Bun instead of failing.
  if ("Bun" in globalThis) return undefined;
  const dawn = await import("webgpu").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ERR_MODULE_NOT_FOUND" || error.code === "MODULE_NOT_FOUND") return undefined;
    const [found] = error.message.split("\n");
    throw mismatch("no-device", "npm's webgpu package", "that it loads", found, `use backend "wasm" here`, error);
  });
  if (!dawn) return undefined;
  Object.assign(globalThis, dawn.globals);
  instance = dawn.create(TOGGLES);
  return instance;
}
