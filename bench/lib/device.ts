import { type OpenedDevice, openDevice } from "../../src/tensor/webgpu/device.ts";
import { Profile, replaced } from "./profile.ts";

/** What the adapter says of itself. */
export interface Adapter {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** Shaders run on the CPU: its figures say nothing about a GPU. */
  readonly software: boolean;
  /** Those of the device that can change a figure. */
  readonly features: readonly string[];
  readonly timestamps: boolean;
}

/** A device to measure on. */
export interface Bench {
  /** The wrapped device, which backends are made on. */
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly adapter: Adapter;
  readonly profile: Profile;
}

/** As src/node/gpu.ts asks for, and matrix units, which Dawn calls unsafe; timestamps are not rounded to 65,536 ns. */
const TOGGLES = [
  "enable-dawn-features=vulkan_enable_f16_on_nvidia,use_vulkan_memory_model,allow_unsafe_apis",
  "disable-dawn-features=timestamp_quantization",
];

/** Dawn's instance must outlive everything made from it. */
let instance: GPU | undefined;

async function gpu(): Promise<GPU | undefined> {
  if (globalThis.navigator?.gpu) return globalThis.navigator.gpu;
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  instance ??= create(TOGGLES);
  return instance;
}

/** WebGPU whose devices have timestamps, which a product has no use for, beside what is asked of them. */
function withTimestamps(real: GPU): GPU {
  return replaced(real, {
    async requestAdapter(options?: GPURequestAdapterOptions) {
      const adapter = await real.requestAdapter(options);
      const offered = (["timestamp-query"] as const).filter((name) => adapter?.features.has(name));
      return (
        adapter &&
        replaced(adapter, {
          requestDevice: ({ requiredFeatures = [], ...rest }: GPUDeviceDescriptor = {}) =>
            adapter.requestDevice({ ...rest, requiredFeatures: [...requiredFeatures, ...offered] }),
        })
      );
    },
  });
}

/** Opens the device that `Siglip.load` would open. Rejects where there is no adapter. */
export async function openBench(): Promise<Bench> {
  const found = await gpu();
  const opened = await openDevice(found && withTimestamps(found));
  if (!opened) throw new Error("A WebGPU adapter was wanted, none found; install a graphics driver.");
  const { device, info, software } = opened;
  device.addEventListener("uncapturederror", ({ error }) => {
    Promise.reject(new Error(`uncaptured WebGPU error: ${error.message}`));
  });
  const profile = new Profile(device);
  return { device: profile.device, info, adapter: adapterOf({ device, info, software }), profile };
}

/** What a result says of the adapter. */
export function adapterOf({ device, info, software }: OpenedDevice): Adapter {
  const { vendor, architecture, device: id, description } = info;
  const features = [...device.features].filter((name) => /f16|subgroup|timestamp/.test(name)).sort();
  const timestamps = device.features.has("timestamp-query");
  return { vendor, architecture, device: id, description, software, features, timestamps };
}

/** One line for people, which says so where an adapter is software. */
export function describe({ vendor, architecture, description, software }: Adapter): string {
  const note = software ? ": SOFTWARE, no measure of a GPU (SIGLIP_ADAPTER=system takes the machine's own)" : "";
  return `${[vendor, architecture].filter(Boolean).join(" ")} (${description})${note}`;
}
