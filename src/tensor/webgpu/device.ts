import { mismatch } from "../../support/error.ts";
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
const SIZED = "subgroup-size-control" as GPUFeatureName;
const WANTED: readonly GPUFeatureName[] = ["shader-f16", "subgroups", MATRICES, SIZED];

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

/**
 * Lets a device tell of itself what its adapter told. In Node, Dawn leaves matrix units out of a device's own information.
 */
export function toldBy(adapter: GPUAdapter, device: GPUDevice): GPUDevice {
  return Object.defineProperty(device, "adapterInfo", { value: adapter.info });
}

/**
 * What a device offers the kernels: of the matrix units that they can use, at most 16 wide and of subgroups with a thread for
 * every row, the one that does most at a time.
 */
export function capabilitiesOf(device: GPUDevice, half: boolean): Capabilities {
  const info = (device.adapterInfo ?? {}) as Partial<GPUAdapterInfo> & MatrixInfo;
  const { subgroupMinSize: least = 0, subgroupMaxSize: most = 0, subgroupMatrixConfigs = [] } = info;
  const memory = device.limits.maxComputeWorkgroupStorageSize;
  if (!device.features.has(MATRICES) || (least !== most && !device.features.has(SIZED))) return { half, memory };
  // Where subgroups come in several sizes, matrices belong to those of N threads (Intel) or to the smallest (AMD).
  const [unit] = [...subgroupMatrixConfigs]
    .filter(({ componentType, resultComponentType }) => componentType === "f16" && resultComponentType === "f32")
    .map(({ M, N, K }) => ({ M, N, K, subgroup: Math.min(Math.max(N, least), most) }))
    .filter(({ M, N, K, subgroup }) => Math.max(M, N, K) <= 16 && subgroup >= M && subgroup % M === 0)
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K);
  return { half, memory, unit };
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
      const subject = `The WebGPU adapter ${adapter.info.vendor}`;
      throw mismatch("no-device", subject, "a device", cause.message, `load with backend "wasm"`, cause);
    });
  return { device: toldBy(adapter, device), info: adapter.info, software: isSoftware(adapter.info) };
}
