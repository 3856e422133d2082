// In place of kernels/wasm/probe.ts where code may not be made at run time.
import type { Instructions } from "../../kernels/wasm/index.ts";
import { probeDot } from "../../kernels/wasm/probe.ts";
import { start } from "./compile.ts";
import { DOT } from "./export-name.ts";

/** What the engine takes. Relaxed SIMD is among it, or kernels.wasm would not have been compiled. */
export function probe(): Instructions {
  return { madd: true, ...probeDot((memory) => start(DOT, memory)) };
}
