import { isSoftware, toldBy } from "../../src/tensor/webgpu/device.ts";
import { type Pinned, SOFTWARE } from "../../src/tensor/webgpu/options.ts";
import { keepPipelines } from "./pipelines.ts";

/** A device that tests share within one worker process, and what it is called in a report. */
export interface Gpu {
  readonly device: GPUDevice;
  readonly adapter: GPUAdapter;
  readonly label: string;
}

/** Why there is no device. */
export interface NoGpu {
  readonly reason: string;
}

const wantedFeatures: readonly string[] = [
  "shader-f16",
  "subgroups",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
  "subgroup-size-control",
];
// Dawn keeps f16 and its memory model from NVIDIA's Vulkan unless asked; a page has no such switch.
const toggles = ["enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,use_vulkan_memory_model"];
// Dawn's instance must outlive everything made from it: collecting it ends the process.
const alive: GPU[] = [];

let real: Promise<Gpu | NoGpu> | undefined;
let compiler: Promise<Gpu | NoGpu> | undefined;

/**
 * The test adapter's device (see adapter.ts for which), made once per process, with WebGPU's default limits but that on
 * workgroup memory, so that what runs on it runs on every device, and with shader-f16, subgroups and timestamp-query where the adapter has them.
 *
 * An error that no error scope catches, or losing the device, fails the run. Rejects where an adapter was asked for and there
 * is none; where none was asked for, or "none" was, the reason comes back.
 */
export function gpuDevice(): Promise<Gpu | NoGpu> {
  real ??= openReal();
  return real;
}

async function openReal(): Promise<Gpu | NoGpu> {
  const wanted = process.env.SIGLIP_ADAPTER;
  if (wanted === "none") return { reason: "SIGLIP_ADAPTER is none" };
  const gpu = await open(toggles, wantedFeatures);
  if (!("reason" in gpu)) keepPipelines(gpu.device);
  else if (wanted) throw new Error(`SIGLIP_ADAPTER is "${wanted}" but ${gpu.reason}; unset it, or name another.`);
  return gpu;
}

/**
 * A device that validates and compiles WGSL but executes nothing: it has shader-f16, subgroups and subgroup matrices whatever
 * the machine. Buffers read back as zeros.
 */
export function nullDevice(): Promise<Gpu | NoGpu> {
  compiler ??= open(
    ["backend=null", "enable-dawn-features=allow_unsafe_apis"],
    [...wantedFeatures, "chromium-experimental-subgroup-matrix"],
  );
  return compiler;
}

async function open(options: string[], features: readonly string[]): Promise<Gpu | NoGpu> {
  let dawn: typeof import("webgpu");
  try {
    dawn = await import("webgpu");
  } catch (error) {
    return { reason: `the npm package webgpu does not load here (${(error as Error).message.split("\n")[0]})` };
  }
  Object.assign(globalThis, dawn.globals);
  const instance = dawn.create(options);
  alive.push(instance);
  const adapter = await instance.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return { reason: "the platform offers no WebGPU adapter" };
  const requiredFeatures = features.filter((name) => adapter.features.has(name)) as GPUFeatureName[];
  const { maxComputeWorkgroupStorageSize } = adapter.limits;
  const requiredLimits = { maxComputeWorkgroupStorageSize };
  const device = toldBy(adapter, await adapter.requestDevice({ requiredFeatures, requiredLimits }));
  device.addEventListener("uncapturederror", (event) => {
    Promise.reject(new Error(`uncaptured WebGPU error: ${event.error.message}`));
  });
  device.lost.then(({ reason, message }) => {
    if (reason !== "destroyed") throw new Error(`the WebGPU device was lost: ${message}`);
  });
  return { device, adapter, label: describe(adapter.info) };
}

function describe({ vendor, architecture, device, description, isFallbackAdapter }: GPUAdapterInfo): string {
  const name = [vendor, architecture, device].filter(Boolean).join(" ");
  return `${name} (${description}${isFallbackAdapter ? ", software" : ""})`;
}

/** Kernel forms for the test adapter: those for software where it is software, so that tests do not wait for compilers. */
export function forTest(device: GPUDevice): Pinned {
  return isSoftware(device.adapterInfo) ? SOFTWARE : {};
}
