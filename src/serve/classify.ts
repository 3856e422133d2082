import type { SiglipConfig } from "../model/config.ts";
import { checkModel } from "./embeddings.ts";
import type { Fields } from "./form.ts";
import { checkCount, type Input, type InputLimits, readPicture, readText } from "./input.ts";
import { bad } from "./refusal.ts";

/** What a request to /v1/classify asks for. */
export interface ClassifyRequest {
  readonly image: Input;
  /** Undefined for those that an image classifier was trained for. */
  readonly labels: readonly string[] | undefined;
  /** Sentences with `{label}` in them. */
  readonly templates: readonly string[] | undefined;
}

/** Reads the fields of one. Throws a Refusal for what is missing or wrong. */
export function readClassifyRequest(
  fields: Fields,
  { classes }: SiglipConfig,
  name: string,
  limits: InputLimits,
): ClassifyRequest {
  checkModel(fields.model, name);
  const labels = readTexts(fields.labels, "labels", limits);
  const templates = readTexts(fields.templates, "templates", limits);
  if (!labels && !classes) throw bad("labels", "what may be in the picture", "none", "send a list of texts");
  if (templates && !labels) throw bad("templates", "labels beside them", "none", "send labels, or no templates");
  for (const template of templates ?? []) {
    if (!template.includes("{label}")) throw bad("templates", "{label} in each", "one without", "write it in");
  }
  checkCount((labels ?? []).length * (templates ?? [""]).length, limits, "labels");
  if (fields.image === undefined) throw bad("image", "a picture", "none", "send a data URL or base64");
  return { image: readPicture(fields.image, limits, "image"), labels, templates };
}

function readTexts(value: unknown, param: string, limits: InputLimits): string[] | undefined {
  if (value === undefined) return undefined;
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0 || !list.every((one) => typeof one === "string")) {
    throw bad(param, "a list of texts", list.length === 0 ? "an empty one" : "something else", "send strings");
  }
  checkCount(list.length, limits, param);
  return list.map((one, index) => readText(one, `${param}[${index}]`).text);
}
