import type { Instructions, KernelName } from "../../kernels/wasm/index.ts";

/** What `dotModule` is exported as. */
export const DOT = "dot";

/** What a kernel is exported as by kernels.wasm, which has some of them twice. */
export function exportName(name: KernelName, { dot8 }: Pick<Instructions, "dot8">): string {
  return name === "linear-q8-i8" && dot8 ? `${name} 8` : name;
}
