import { mismatch } from "../support/error.ts";
import type { Open, OpenedBackend, OpenOptions } from "../tensor/open.ts";
import { open as openWebGpu } from "../tensor/webgpu/open.ts";
import { noBackend } from "./option-advice.ts";

/** What a user can name a backend by. */
export type BackendName = "webgpu" | "wasm" | "cpu";

/** Every backend by its name, in the order in which "auto" tries them. All but the first are loaded where they are wanted. */
const BACKENDS: Readonly<Record<BackendName, Open>> = {
  webgpu: openWebGpu,
  wasm: async (options) => (await import("../tensor/wasm/open.ts")).open(options),
  cpu: async (options) => (await import("../tensor/cpu.ts")).open(options),
};

/** The names of all backends. */
export const BACKEND_NAMES = Object.keys(BACKENDS) as readonly BackendName[];

/** Opens the backend of that name; of "auto" the first that is ready to run by itself. */
export async function openBackend(
  name: BackendName | "auto",
  options: Omit<OpenOptions, "named">,
): Promise<OpenedBackend> {
  if (name !== "auto" && !BACKEND_NAMES.includes(name)) {
    throw noBackend(name, BACKEND_NAMES);
  }
  for (const candidate of name === "auto" ? BACKEND_NAMES : [name]) {
    const opened = await BACKENDS[candidate]({ ...options, named: name !== "auto" });
    if (opened) return opened;
  }
  throw mismatch("no-device", "backend", "one that runs here", "none", "name a backend");
}
