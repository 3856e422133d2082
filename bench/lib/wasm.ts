import { nodeThreads } from "../../src/node/threads.ts";
import type { Backend } from "../../src/tensor/backend.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import type { WasmBackend } from "../../src/tensor/wasm/backend.ts";
import { open } from "../../src/tensor/wasm/open.ts";

/** The wasm backend as `Siglip.load` opens it, and what it runs on; kernel forms are tried anew, none are remembered. */
export async function openWasm(dtype: WeightDType, threads?: number): Promise<{ backend: Backend; on: string }> {
  const { backend, adapter } = (await open({
    ...{ named: true, dtype, threads, threading: nodeThreads },
    ...{ gpu: async () => undefined, withoutGpu: () => "", chosenForms: () => new Map() },
  }))!;
  const { forms } = backend as WasmBackend;
  // Patches are never stored in less than half precision.
  const patches = dtype === "f32" || dtype === "f16" ? "" : `, patches ${forms.f16}`;
  return { backend, on: `${adapter}; ${forms[dtype]}${patches}` };
}
