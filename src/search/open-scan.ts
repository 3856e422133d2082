import type { Platform } from "../siglip/platform.ts";
import { open } from "../tensor/wasm/open.ts";
import { Scan } from "./scan.ts";

/** Opens a scan for rows of a width, on threads of its own; undefined where the engine has no SIMD. */
export async function openScan(
  width: number,
  threads: number | undefined,
  { threads: threading, chosenForms }: Pick<Platform<unknown>, "threads" | "chosenForms">,
): Promise<{ scan: Scan; close(): void } | undefined> {
  const opened = await open({
    ...{ named: false, dtype: "q8", threads, threading, chosenForms },
    ...{ gpu: async () => undefined, withoutGpu: () => "" },
  });
  return opened && { scan: new Scan(opened.backend, width), close: opened.close };
}
