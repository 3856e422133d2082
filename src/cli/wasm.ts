import { keptForms } from "../node/cache/chosen-forms.ts";
import { nodePlatform } from "../node/platform.ts";
import type { WeightDType } from "../tensor/program.ts";
import { open } from "../tensor/wasm/open.ts";
import { aligned } from "./table.ts";

/** The precisions that have several kernel forms. */
const DTYPES = ["f16", "q8", "i8", "q4"] as const satisfies readonly WeightDType[];

/** What the wasm backend would run on. */
export interface WasmInfo {
  /** Threads and instructions, in words. */
  readonly engine: string;
  /** The kernel form of each precision that has several. */
  readonly forms: Readonly<Record<string, string>>;
}

/** Opens the backend as loading a model does, with the trials that it then makes; null where the engine has no SIMD. */
export async function readWasm(): Promise<WasmInfo | null> {
  const { gpu, withoutGpu } = nodePlatform;
  let engine: string | undefined;
  let forms: Map<string, string> = new Map();
  const chosenForms = (adapter: string) => {
    forms = keptForms(adapter);
    return forms;
  };
  for (const dtype of DTYPES) {
    const opened = await open({ named: false, dtype, gpu, withoutGpu, chosenForms, threading: nodePlatform.threads });
    if (!opened) return null;
    engine = opened.adapter;
    opened.close();
  }
  return { engine: engine!, forms: Object.fromEntries(forms) };
}

/** The engine in words. */
export function showWasm(info: WasmInfo | null): string {
  if (!info) return aligned([["wasm", "none: this engine has no SIMD"]]);
  return aligned([["wasm", info.engine], ...Object.entries(info.forms)]);
}
