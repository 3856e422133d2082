// In place of src/tensor/webgpu/open.ts: there is no GPU, so that nothing of it need be deployed.
import { mismatch } from "../support/error.ts";
import type { Open } from "../tensor/open.ts";

/** Says no. */
export const open: Open = async ({ named }) => {
  if (!named) return undefined;
  throw mismatch("no-device", "backend", "a WebGPU adapter", "a runtime without", 'load with backend "wasm"');
};
