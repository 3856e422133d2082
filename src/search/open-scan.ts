import type { Platform } from "../siglip/platform.ts";
import type { Backend } from "../tensor/backend.ts";
import { Scan } from "./scan.ts";

/** What a runtime has for searching: threads, and where the forms of their kernels are kept. */
export type Runtime = Pick<Platform<unknown>, "threads" | "chosenForms">;

/** Opens what a scan runs on, with threads of its own; undefined where the engine has no SIMD. */
export async function openThreads(
  threads: number | undefined,
  { threads: threading, chosenForms }: Runtime,
): Promise<{ backend: Backend; close(): void } | undefined> {
  const { open } = await import("../tensor/wasm/open.ts");
  return open({
    ...{ named: false, dtype: "q8", threads, threading, chosenForms },
    ...{ gpu: async () => undefined, withoutGpu: () => "" },
  });
}

/** Opens a scan for rows of a width; likewise undefined. */
export async function openScan(
  width: number,
  threads: number | undefined,
  runtime: Runtime,
): Promise<{ scan: Scan; close(): void } | undefined> {
  const opened = await openThreads(threads, runtime);
  return opened && { scan: new Scan(opened.backend, width), close: opened.close };
}
