import { mismatch, type SiglipError } from "../support/error.ts";

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

/** Backends by the names that other libraries give devices. */
const BACKENDS: Readonly<Record<string, string>> = { cpu: "wasm", gpu: "webgpu", wasm: "wasm", webgpu: "webgpu" };

/** Where options belong that a call does not know. */
const ELSEWHERE: Readonly<Record<string, string>> = { templates: "classify or classifier", batch: "embedImages" };

/**
 * The error for options of which `call` does not know one. It names the one that was meant: by another library's name, in
 * other letters, in singular or plural.
 */
export function misnamed(call: string, options: unknown, known: readonly string[]): SiglipError {
  if (typeof options !== "object" || options === null) {
    return mismatch("bad-input", call, "an object of options", describe(options), "put them into { }");
  }
  const name = Object.keys(options).find((name) => !known.includes(name));
  if (name === undefined) return noDevice((options as { device?: unknown }).device);
  const meant = [ALIASES[name] ?? name, name].flatMap((one) => known.filter((other) => alike(one, other)))[0];
  let advice = `choose among ${known.join(", ")}`;
  if (meant) advice = `say ${meant}`;
  else if (name in ELSEWHERE) advice = `give it to ${ELSEWHERE[name]}`;
  return mismatch("bad-input", call, "options that it knows", JSON.stringify(name.slice(0, 100)), advice);
}

function noDevice(device: unknown): SiglipError {
  const backend = BACKENDS[String(device)] ?? "auto";
  return mismatch("bad-input", "device", "a GPUDevice", describe(device), `say backend: "${backend}"`);
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
