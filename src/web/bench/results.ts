import type { Ceilings } from "../../../bench/lib/ceilings.ts";
import type { Adapter } from "../../../bench/lib/device.ts";
import type { KernelRow } from "../../../bench/operations/measure.ts";

/** The results as JSON: those of `npm run bench`, but for the environment, of which a page knows less. Seconds. */
export interface PageResult {
  readonly bench: "kernels";
  readonly adapter: Adapter | undefined;
  readonly environment: ReturnType<typeof where>;
  readonly full: boolean;
  readonly ceilings: Ceilings | undefined;
  readonly rows: readonly KernelRow[];
}

/** Where and when, as far as a page is told. */
export function where() {
  return {
    date: new Date().toISOString().slice(0, 10),
    runtime: navigator.userAgent,
    cores: navigator.hardwareConcurrency,
  };
}

/** Puts a text on the clipboard; rejects where that is not allowed. */
export async function copyText(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
}

/** Has the browser save the results as a file. */
export function save(json: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([json], { type: "application/json" }));
  link.download = "siglip-kernels.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
