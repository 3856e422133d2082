import { keptForms } from "../node/cache/chosen-forms.ts";
import { findGpu } from "../node/gpu.ts";
import { bytes, grouped } from "../support/units.ts";
import { isSoftware } from "../tensor/webgpu/device.ts";
import { chosenFormsKey } from "../tensor/webgpu/open.ts";
import { SOFTWARE } from "../tensor/webgpu/options.ts";
import { aligned } from "./table.ts";
import { plain } from "./terminal.ts";

/** The features and limits that decide which kernels run, and how large a batch. */
const FEATURES = ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix", "timestamp-query"] as const;
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxStorageBuffersPerShaderStage",
] as const;

/** The WebGPU adapter that the webgpu backend would take. */
export interface DeviceInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: Record<(typeof LIMITS)[number], number>;
  /** Kernel forms: what trials have chosen on it so far, by operation, shape and precision; fixed ones for software. */
  readonly forms: Readonly<Record<string, string>>;
}

/** Asks for the adapter as loading a model does; null where there is none. */
export async function readDevice(): Promise<DeviceInfo | null> {
  const gpu = await findGpu();
  const adapter = await gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return null;
  const { vendor, architecture, device, description } = adapter.info;
  const limits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])) as DeviceInfo["limits"];
  const features = [...adapter.features].sort();
  const software = isSoftware(adapter.info);
  const forms = software ? { ...SOFTWARE } : Object.fromEntries(keptForms(chosenFormsKey(adapter.info)));
  return { vendor, architecture, device, description, software, features, limits, forms };
}

/** The adapter in words, and what backend "auto" makes of it. */
export function showDevice(info: DeviceInfo | null): string {
  if (!info)
    return aligned([
      ["adapter", "none: install npm's webgpu and a driver"],
      ["auto", "runs in WebAssembly"],
    ]);
  const { vendor, architecture, description, software, features, limits, forms } = info;
  const chosen = Object.entries(forms).sort();
  return aligned([
    ["adapter", plain([vendor, architecture, description].filter(Boolean).join(" "))],
    ["kind", software ? "software" : "hardware"],
    ["auto", software ? "runs in WebAssembly" : "runs on it"],
    ...FEATURES.map((name) => [
      name.replace("chromium-experimental-", ""),
      features.includes(name as never) ? "yes" : "no",
    ]),
    ["buffer", bytes(limits.maxBufferSize)],
    ["binding", bytes(limits.maxStorageBufferBindingSize)],
    ["workgroup", `${grouped(limits.maxComputeWorkgroupStorageSize)} bytes`],
    ["invocations", grouped(limits.maxComputeInvocationsPerWorkgroup)],
    ["bindings", `${limits.maxStorageBuffersPerShaderStage} buffers a stage`],
    ...(chosen.length > 0 ? chosen : [["kernel forms", "chosen by trial when a model first runs"]]),
  ]);
}
