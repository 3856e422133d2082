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
  /** Its matrix units were left unused, as if it had none. */
  readonly portable?: boolean;
}

/** A device to measure on. */
export interface Bench {
  /** The wrapped device, which backends are made on. */
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly adapter: Adapter;
  readonly profile: Profile;
  /** Its timestamps are rounded to some 0.1 ms, as a page's are, so that only many dispatches together are timed well. */
  readonly rounded: boolean;
}

const MATRICES = "chromium-experimental-subgroup-matrix" as GPUFeatureName;

/**
 * WebGPU whose devices have timestamps, which a product has no use for, beside what is asked of them; `portable` devices have
 * no matrix units.
 */
function forBench(real: GPU, portable: boolean): GPU {
  return replaced(real, {
    async requestAdapter(options?: GPURequestAdapterOptions) {
      const adapter = await real.requestAdapter(options);
      const offered = (["timestamp-query"] as const).filter((name) => adapter?.features.has(name));
      return (
        adapter &&
        replaced(adapter, {
          requestDevice: ({ requiredFeatures = [], ...rest }: GPUDeviceDescriptor = {}) =>
            adapter.requestDevice({
              ...rest,
              requiredFeatures: [...requiredFeatures, ...offered].filter((name) => !portable || name !== MATRICES),
            }),
        })
      );
    },
  });
}

/** Opens the device that `Siglip.load` would open. Rejects where there is no adapter. */
export async function openBench(gpu: GPU | undefined, rounded: boolean, portable = false): Promise<Bench> {
  const opened = await openDevice(gpu && forBench(gpu, portable));
  if (!opened) throw new Error("A WebGPU adapter was wanted, none found; install a graphics driver.");
  const { device, info } = opened;
  device.addEventListener("uncapturederror", ({ error }) => {
    Promise.reject(new Error(`uncaptured WebGPU error: ${error.message}`));
  });
  const profile = new Profile(device);
  return {
    device: profile.device,
    info,
    adapter: { ...adapterOf(opened), ...(portable ? { portable } : {}) },
    profile,
    rounded,
  };
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
