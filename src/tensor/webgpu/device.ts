import { SiglipError } from "../../error.ts";

/** A device, and what kind of adapter it belongs to. */
export interface OpenedDevice {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  /** The shaders run on the CPU (SwiftShader, lavapipe, WARP). */
  readonly software: boolean;
}

/** Limits that are raised to what the adapter offers: larger batches then run in one part. */
const RAISED = ["maxStorageBufferBindingSize", "maxBufferSize"] as const;

/** Features that are used where they exist. */
const WANTED: readonly GPUFeatureName[] = ["shader-f16", "subgroups", "timestamp-query"];

/** Whether an adapter runs shaders on the CPU; not every runtime says so itself. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  return info.isFallbackAdapter === true || ["google", "mesa", "6880"].includes(info.vendor);
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
