import type { LoadOptions } from "./load.ts";

/** The names of `LoadOptions`: the compiler sees to it that none is missing. */
const LOAD: Readonly<Record<keyof LoadOptions, true>> = {
  backend: true,
  cache: true,
  decode: true,
  device: true,
  dialect: true,
  dtype: true,
  endpoint: true,
  forms: true,
  maxPixels: true,
  onProgress: true,
  onWarning: true,
  revision: true,
  signal: true,
  threads: true,
  token: true,
  towers: true,
};

/** Rejects with a SiglipError where options hold one that `call` does not know; `known` lists all of them. */
export async function checkOptions(call: string, options: unknown, known: readonly string[]): Promise<void> {
  const sound =
    typeof options === "object" && options !== null && Object.keys(options).every((name) => known.includes(name));
  // What was meant is worth a search, which is a chunk of its own.
  if (!sound) throw (await import("./option-advice.ts")).misnamed(call, options, known);
}

/** Checks the names of what `Siglip.load` is given, and that `device` is no name of a backend. */
export async function checkLoadOptions(options: LoadOptions): Promise<void> {
  await checkOptions("Siglip.load", options, Object.keys(LOAD));
  const { device } = options;
  if (device !== undefined && (typeof device !== "object" || device === null)) {
    throw (await import("./option-advice.ts")).noDevice(device);
  }
}
