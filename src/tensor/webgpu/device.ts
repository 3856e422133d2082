import { SiglipError } from "../../error.ts";
import type { Capabilities } from "./tiles.ts";

/** A device, and what kind of adapter it belongs to. */
export interface OpenedDevice {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  /** The shaders run on the CPU (SwiftShader, lavapipe, WARP). */
  readonly software: boolean;
}

/** Limits that are raised to what the adapter offers: for larger batches in one part, and larger tiles. */
const RAISED = ["maxStorageBufferBindingSize", "maxBufferSize", "maxComputeWorkgroupStorageSize"] as const;

/** Features that are used where they exist. */
const MATRICES = "chromium-experimental-subgroup-matrix" as GPUFeatureName;
const WANTED: readonly GPUFeatureName[] = ["shader-f16", "subgroups", MATRICES];

/** Whether an adapter runs shaders on the CPU; not every runtime says so itself. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  return info.isFallbackAdapter === true || ["google", "mesa", "6880"].includes(info.vendor);
}

/** What Dawn says of matrix units beyond the standard's adapter info. */
export interface MatrixInfo {
  readonly subgroupMatrixConfigs?: Iterable<{
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }>;
}

/** What a device offers the kernels; matrix units only where subgroups have one size. */
export function capabilitiesOf(device: GPUDevice, half: boolean): Capabilities {
  const info = (device.adapterInfo ?? {}) as Partial<GPUAdapterInfo> & MatrixInfo;
  const { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs = [] } = info;
  const fixed = device.features.has(MATRICES) && subgroupMinSize === subgroupMaxSize ? subgroupMinSize : undefined;
  const units = [...subgroupMatrixConfigs]
    .filter(({ componentType, resultComponentType }) => componentType === "f16" && resultComponentType === "f32")
    .map(({ M, N, K }) => ({ M, N, K, subgroup: fixed ?? 0 }));
  return { half, memory: device.limits.maxComputeWorkgroupStorageSize, units: fixed ? units : [] };
}

/** A device of the best adapter, or undefined where there is none. */
export async function openDevice(gpu: GPU | undefined): Promise<OpenedDevice | undefined> {
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return undefined;
  const device = await adapter
    .requestDevice({
      requiredFeatures: WANTED.filter((feature) => adapter.features.has(feature)),
      requiredLimits: Object.fromEntries(RAISED.map((name) => [name, adapter.limits[name]])),
    })
    .catch((cause) => {
      throw new SiglipError(
        `A device of the WebGPU adapter ${adapter.info.vendor} was wanted and refused (${cause.message}); load with backend "cpu".`,
        { cause },
      );
    });
  return { device, info: adapter.info, software: isSoftware(adapter.info) };
}
