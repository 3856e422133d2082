import { mismatch } from "../support/error.ts";
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

/** What other libraries, or hurried hands, call an option of ours. */
const ALIASES: Readonly<Record<string, string>> = {
  batchSize: "batch",
  batch_size: "batch",
  hypothesis_template: "templates",
  precision: "dtype",
  progress: "onProgress",
  progress_callback: "onProgress",
  quantized: "dtype",
  template: "templates",
};

/**
 * Throws a SiglipError where options hold one that `call` does not know, and names the one that was meant: by another
 * library's name, in other letters, in singular or plural. `known` lists all of them, and where else the others belong.
 */
export function checkOptions(
  call: string,
  options: unknown,
  known: readonly string[],
  elsewhere: Readonly<Record<string, string>> = {},
): void {
  if (typeof options !== "object" || options === null) {
    throw mismatch("bad-input", call, "an object of options", describe(options), "put them into { }");
  }
  for (const [name, value] of Object.entries(options)) {
    if (known.includes(name) || value === undefined) continue;
    const meant = [ALIASES[name] ?? name, name].flatMap((one) => known.filter((other) => alike(one, other)))[0];
    const advice = meant
      ? `say ${meant}`
      : name in elsewhere
        ? `give it to ${elsewhere[name]}`
        : `choose among ${known.join(", ")}`;
    throw mismatch("bad-input", call, "options that it knows", JSON.stringify(name.slice(0, 100)), advice);
  }
}

/** Checks the names of what `Siglip.load` is given, and that `device` is no name of a backend. */
export function checkLoadOptions(options: LoadOptions): void {
  checkOptions("Siglip.load", options, Object.keys(LOAD), {
    templates: "classify or classifier",
    batch: "embedImages",
  });
  if (options.device !== undefined && (typeof options.device !== "object" || options.device === null)) {
    const advice = `say backend: ${describe(options.device)}`;
    throw mismatch("bad-input", "device", "a GPUDevice", describe(options.device), advice);
  }
}

/** Whether two names are one but for letter case, hyphens, and an end such as a plural's. */
function alike(one: string, other: string): boolean {
  const [a, b] = [one, other].map((name) => name.toLowerCase().replace(/[-_]/g, ""));
  return (a.startsWith(b) || b.startsWith(a)) && Math.abs(a.length - b.length) <= 2;
}

/** A value that is none of those wanted, for an error. */
function describe(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : String(value);
}
