import type { SiglipConfig } from "../model/config.ts";
import { mismatch, type SiglipError } from "../support/error.ts";
import type { Backend } from "../tensor/backend.ts";

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
const ELSEWHERE: Readonly<Record<string, string>> = {
  templates: "classify or classifier",
  batch: "embedImages",
  kind: "embedStream",
  onError: "embedImages",
};

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

/** The error for `towers` that name no tower. */
export function noTowers(towers: unknown): SiglipError {
  if (!Array.isArray(towers)) {
    return mismatch("bad-input", "towers", "a list", describe(towers), `put "image", "text" or both into [ ]`);
  }
  return mismatch("bad-input", "towers", `"image", "text" or both`, JSON.stringify(towers), "name one of them");
}

/** The error for a backend that there is not. */
export function noBackend(name: unknown, names: readonly string[]): SiglipError {
  const wanted = `one of ${["auto", ...names].map((one) => `"${one}"`).join(", ")}`;
  return mismatch("bad-input", "backend", wanted, JSON.stringify(name), "choose one");
}

/** The error for a number of items that cannot go through a tower together. */
export function noBatch(batch: unknown): SiglipError {
  return mismatch("bad-input", "batch", "a whole number from 1", `${batch}`, "leave it out for the default");
}

/** The error for a precision that there is not. */
export function noDtype(dtype: unknown): SiglipError {
  return mismatch("bad-input", "dtype", `"f32", "f16", "q8", "i8" or "q4"`, describe(dtype), "choose one");
}

/** The error for a precision that a backend does not have. */
export function otherDtype({ name, dtypes }: Pick<Backend, "name" | "dtypes">, dtype: string): SiglipError {
  const wanted = `one of ${dtypes.map((one) => `"${one}"`).join(", ")} on ${name}`;
  return mismatch("unsupported", "dtype", wanted, `"${dtype}"`, "choose one of these or another backend");
}

/** The error for a tower that a checkpoint of one tower alone does not have. */
export function lacksTower(model: string, { towers }: SiglipConfig, tower: string): SiglipError {
  const wanted = `the ${towers} tower, the only one of ${model}`;
  return mismatch("unsupported", "towers", wanted, `"${tower}"`, "leave towers out");
}

/** The error for what is no list of items. */
export function noList(call: string, found: unknown): SiglipError {
  const what = call === "embedTexts" ? "strings" : "pictures";
  return mismatch("bad-input", call, `a list of ${what}`, typeof found, "put it into [ ]");
}

/** The error for a model whose image tower gives no embedding. */
export function noHead({ classes }: SiglipConfig): SiglipError {
  const advice = classes ? "call classify" : "call features";
  return mismatch("unsupported", "embedImages", "a tower with a MAP head", "one that ends in its tokens", advice);
}

/** The error for what `embedStream` cannot go through, or else for a kind of items that there is not. */
export function noStream(items: unknown, kind: unknown): SiglipError {
  if (Object(items) !== items) {
    return mismatch("bad-input", "embedStream", "something iterable", describe(items), "put it into [ ]");
  }
  return mismatch("bad-input", "kind", `"image" or "text"`, describe(kind), "choose one");
}

/** The error for labels, or else for templates, that `classify` cannot take. */
export function noLabels(labels: unknown, templates: unknown, example: string): SiglipError {
  if (!Array.isArray(labels) || labels.length === 0) {
    const found = Array.isArray(labels) ? "none" : typeof labels;
    return mismatch("bad-input", "classify", "at least one label", found, "name what may be in the picture");
  }
  const odd = labels.find((label) => typeof label !== "string");
  if (odd !== undefined) return mismatch("bad-input", "classify", "labels that are strings", typeof odd, "pass text");
  const list = Array.isArray(templates) ? templates : [templates];
  const bad = list.find((template) => !(typeof template === "string" && template.includes("{label}"))) ?? list[0];
  const found = list.length === 0 ? "none" : describe(bad);
  const advice = `write them like "${example}"`;
  return mismatch("bad-input", "classify", "a list of templates with {label} in them", found, advice);
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
