import type { LoadOptions } from "./load.ts";

/** The names of `LoadOptions`: the compiler sees to it that none is missing. */
const LOAD: Readonly<Record<keyof LoadOptions, true>> = {
  backend: true,
  cache: true,
  calibration: true,
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
  size: true,
  threads: true,
  token: true,
  towers: true,
};

/**
 * Rejects with a SiglipError where options hold one that `call` does not know; `known` lists all of them. A device that is
 * the name of a backend is one, too.
 */
export async function checkOptions(call: string, options: object, known: readonly string[]): Promise<void> {
  const sound = ([name, value]: [string, unknown]) =>
    known.includes(name) && (name !== "device" || typeof value !== "string");
  // What was meant is worth a search, which is a chunk of its own.
  if (Object(options) !== options || !Object.entries(options).every(sound)) {
    throw (await import("./option-advice.ts")).misnamed(call, options, known);
  }
}

/** Checks the names of what `Siglip.load` is given. */
export function checkLoadOptions(options: LoadOptions): Promise<void> {
  return checkOptions("Siglip.load", options, Object.keys(LOAD));
}
