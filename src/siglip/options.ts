import type { LoadOptions } from "./load.ts";
import { misnamed } from "./option-advice.ts";

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
 * Throws a SiglipError where options hold one that `call` does not know; `known` lists all of them. A device that is
 * the name of a backend is one, too.
 */
export function checkOptions(call: string, options: object, known: readonly string[]): void {
  const sound = ([name, value]: [string, unknown]) =>
    known.includes(name) && (name !== "device" || typeof value !== "string");
  if (Object(options) !== options || !Object.entries(options).every(sound)) {
    throw misnamed(call, options, known);
  }
}

/** Checks the names of what `Siglip.load` is given. */
export function checkLoadOptions(options: LoadOptions): void {
  checkOptions("Siglip.load", options, Object.keys(LOAD));
}
