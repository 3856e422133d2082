import { type Instructions, probe } from "../../../kernels/wasm/index.ts";
import { mismatch } from "../../support/error.ts";
import type { Open } from "../open.ts";
import { WasmBackend } from "./backend.ts";
import { chooseForms } from "./forms.ts";
import { Kernels } from "./kernels.ts";
import { Memory } from "./memory.ts";
import { Pool } from "./pool.ts";

// From here alone: what two entries share a bundler cuts into more chunks, which together are larger.
export { Packer } from "./packer.ts";

/** Opens the backend where the engine has SIMD. */
export const open: Open = async ({ named, dtype = "f16", threads, threading, chosenForms }) => {
  const instructions = probe();
  if (!instructions) {
    if (!named) return undefined;
    throw mismatch("no-device", "backend", "WebAssembly with SIMD", "none", `load with backend "cpu"`);
  }
  const runtime = await threading();
  const memory = new Memory({ shared: typeof runtime.ways !== "string" && threads !== 1 });
  const pool = await Pool.open({ memory, runtime, threads });
  const kernels = new Kernels(pool, memory, instructions);
  try {
    const chosen = await chosenForms(wasmFormsKey(instructions));
    const forms = await chooseForms(dtype, chosen, { kernels, memory, pool });
    // Where activations are bytes, keys and values may be.
    const integers = forms[dtype].endsWith("-i8");
    const backend = new WasmBackend(pool, memory, kernels, forms, integers);
    return { backend, adapter: describe(instructions, pool.threads), close: () => backend.dispose() };
  } catch (error) {
    pool.dispose();
    throw error;
  }
};

/** Chosen forms hold for an engine's instructions. Not for a number of threads: results are not to depend on it. */
function wasmFormsKey(instructions: Instructions): string {
  return `wasm, ${named(instructions)}`;
}

/** "2 threads, simd madd dot". */
function describe(instructions: Instructions, threads: number): string {
  return `${threads} ${threads === 1 ? "thread" : "threads"}, ${named(instructions)}`;
}

function named(instructions: Instructions): string {
  const extras = Object.entries(instructions).flatMap(([name, has]) => (has ? [name] : []));
  return ["simd", ...extras].join(" ");
}
