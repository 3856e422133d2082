import { version as kernels } from "../../../kernels/wgsl.generated.ts";
import { mismatch } from "../../support/error.ts";
import type { Open } from "../open.ts";
import type { WeightDType } from "../program.ts";
import { WebGpuBackend } from "./backend.ts";
import { isSoftware, openDevice } from "./device.ts";
import { SOFTWARE, type WebGpuOptions } from "./options.ts";
import { ATTENTION, LINEAR } from "./tiles.ts";

/** Opens a backend on the device given, or on a device of the best adapter; by itself never on one that runs on the CPU. */
export const open: Open = async ({ named, gpu, withoutGpu, device: own, dtype, forms, chosenForms, threading }) => {
  const opened = own
    ? { device: own, info: own.adapterInfo, software: isSoftware(own.adapterInfo) }
    : await openDevice(await gpu());
  if (!opened) {
    if (!named) return undefined;
    throw mismatch(
      "no-device",
      "backend",
      "a WebGPU adapter",
      "none",
      `${withoutGpu(await gpu())}, or load with backend "wasm"`,
    );
  }
  const { device, info, software } = opened;
  if (software && !named && !own) {
    device.destroy();
    return undefined;
  }
  const destroy = () => {
    if (!own) device.destroy();
  };
  try {
    const chosen = await chosenForms(chosenFormsKey(info));
    const backend = new WebGpuBackend(device, {
      ...deviceOptions(device, software, dtype),
      ...{ chosen, threading },
      ...forms,
    });
    return {
      backend,
      adapter: describe(info) + (software && !own ? " (software)" : ""),
      close() {
        backend.dispose();
        destroy();
      },
    };
  } catch (error) {
    destroy();
    throw error;
  }
};

/** Activations are half precision where the device has it, unless float32 was asked for. */
export function deviceOptions(device: GPUDevice, software: boolean, dtype?: WeightDType): WebGpuOptions {
  const half = dtype !== "f32" && device.features.has("shader-f16");
  return { ...(software ? SOFTWARE : {}), activations: half ? "f16" : "f32" };
}

/** Chosen forms hold for an adapter and these very kernels: after a change of either, trials are made anew. */
export function chosenFormsKey(info: GPUAdapterInfo): string {
  const text = JSON.stringify([kernels, LINEAR, ATTENTION]);
  let hash = 0;
  for (const char of text) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0;
  return `${describe(info)}, kernels ${(hash >>> 0).toString(16)}`;
}

/** An adapter in words. */
export function describe(info: GPUAdapterInfo | undefined): string {
  return [info?.vendor, info?.architecture, info?.description].filter(Boolean).join(" ") || "a WebGPU adapter";
}
