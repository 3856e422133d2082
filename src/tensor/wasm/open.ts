import { probe } from "../../../kernels/wasm/index.ts";
import { mismatch } from "../../support/error.ts";
import type { Open } from "../open.ts";
import { WasmBackend } from "./backend.ts";
import { chooseForms } from "./forms.ts";
import { Kernels } from "./kernels.ts";
import { Memory } from "./memory.ts";
import { Pool } from "./pool.ts";

/** Opens the backend where the engine has SIMD. */
export const open: Open = async ({ named, dtype = "f16", threads, threading, chosenForms }) => {
  const instructions = typeof WebAssembly === "object" ? probe() : undefined;
  if (!instructions) {
    if (!named) return undefined;
    throw mismatch("no-device", "backend", "WebAssembly with SIMD", "none", `load with backend "cpu"`);
  }
  const runtime = await threading();
  const memory = new Memory({ shared: typeof runtime.ways !== "string" && threads !== 1 });
  const pool = await Pool.open({ memory, runtime, threads });
  const kernels = new Kernels(pool, memory, instructions);
  const extras = Object.entries(instructions).flatMap(([name, has]) => (has ? [name] : []));
  const words = `${pool.threads} ${pool.threads === 1 ? "thread" : "threads"}, ${["simd", ...extras].join(" ")}`;
  try {
    const chosen = await chosenForms(`wasm, ${words}`);
    const forms = await chooseForms(dtype, chosen, { kernels, memory, pool });
    const backend = new WasmBackend(pool, memory, kernels, forms);
    return { backend, adapter: words, close: () => backend.dispose() };
  } catch (error) {
    pool.dispose();
    throw error;
  }
};
