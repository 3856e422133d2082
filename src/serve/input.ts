import { shorten } from "../support/error.ts";
import { bad, type Refusal } from "./refusal.ts";
import { checkScheme } from "./urls.ts";

/** Something to be embedded: a text, the bytes of a picture file, or the place of one. */
export type Input =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "image"; readonly bytes: Uint8Array }
  | { readonly kind: "url"; readonly url: URL };

/** What may be asked for at once. */
export interface InputLimits {
  /** Most texts and pictures of a request. */
  readonly maxItems: number;
  /** Whether pictures may be named by their URL. */
  readonly allowUrls: boolean;
}

/** Most characters of a text: far more than any model reads of one. */
export const MOST_TEXT = 32_768;

/**
 * The `input` of a request: a text, a picture or a list of them. A picture is a data URL, or an object with `image` (a data
 * URL, base64, or bytes of an upload) or `image_url` (a URL, or an object with `url`). Throws a Refusal that names what is
 * at fault.
 */
export function readInputs(value: unknown, limits: InputLimits, param = "input"): Input[] {
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw bad(param, "at least one text or picture", "an empty list", "put one in");
  if (list.some((one) => typeof one === "number" || Array.isArray(one))) {
    throw bad(param, "texts or pictures", "tokens", "send the text, which is tokenised here");
  }
  checkCount(list.length, limits, param);
  return list.map((one, index) => readInput(one, limits, Array.isArray(value) ? `${param}[${index}]` : param));
}

/** Throws a Refusal (413) for too many items. */
export function checkCount(count: number, { maxItems }: InputLimits, param: string): void {
  if (count > maxItems) throw bad(param, `at most ${maxItems} at a time`, `${count}`, "send them in parts", 413);
}

function readInput(value: unknown, limits: InputLimits, param: string): Input {
  if (value instanceof Uint8Array) return readPicture(value, limits, param);
  if (typeof value === "string") {
    return /^data:image\//i.test(value) ? readPicture(value, limits, param) : readText(value, param);
  }
  if (typeof value === "object" && value !== null) {
    const { text, image, image_url: url } = value as Record<string, unknown>;
    if (typeof text === "string") return readText(text, `${param}.text`);
    if (image !== undefined) return readPicture(image, limits, `${param}.image`);
    if (url !== undefined) return readPicture(url, limits, `${param}.image_url`);
  }
  const found = value === null ? "null" : typeof value;
  throw bad(param, `a text, a data URL, { "image": … } or { "image_url": … }`, found, "send one of these");
}

/** A text of a request. */
export function readText(text: string, param: string): Input & { readonly kind: "text" } {
  if (text === "") throw bad(param, "a text", "an empty one", "leave it out");
  if (text.length > MOST_TEXT) {
    throw bad(param, `at most ${MOST_TEXT} characters`, `${text.length}`, "shorten it", 413);
  }
  return { kind: "text", text };
}

/** A picture of a request: bytes, base64, a data URL, or where they are allowed an http or https URL. */
export function readPicture(value: unknown, limits: InputLimits, param: string): Input {
  if (value instanceof Uint8Array) {
    if (value.length === 0) throw bad(param, "a picture file", "an empty one", "send its bytes");
    return { kind: "image", bytes: value };
  }
  if (typeof value === "object" && value !== null && "url" in value) {
    return readPicture(value.url, limits, `${param}.url`);
  }
  if (typeof value !== "string") throw bad(param, "a picture", typeof value, "send a data URL or base64");
  if (/^data:/i.test(value)) {
    const comma = value.indexOf(",");
    if (!/;base64$/i.test(value.slice(0, Math.max(0, comma)))) {
      throw bad(param, "a data URL with ;base64,", "another", "encode the picture in base64");
    }
    return { kind: "image", bytes: readBase64(value.slice(comma + 1), param) };
  }
  if (/^[a-z][a-z0-9+.-]*:/i.test(value)) return readUrl(value, limits, param);
  return { kind: "image", bytes: readBase64(value, param) };
}

function readUrl(value: string, { allowUrls }: InputLimits, param: string): Input {
  if (!allowUrls) {
    throw bad(param, "a picture's bytes", "a URL, which this service does not fetch", "send a data URL or base64");
  }
  if (!URL.canParse(value)) throw bad(param, "a URL", JSON.stringify(shorten(value)), "check how it is written");
  const url = new URL(value);
  checkScheme(url);
  return { kind: "url", url };
}

function readBase64(text: string, param: string): Uint8Array {
  const fault = (found: string): Refusal => bad(param, "a picture in base64", found, "encode its bytes in base64");
  const bare = /\s/.test(text) ? text.replace(/\s+/g, "") : text;
  const end = bare.indexOf("=");
  if (/[^A-Za-z0-9+/_=-]/.test(bare) || (end >= 0 && end < bare.length - 2)) throw fault("other characters");
  const bytes = Buffer.from(bare, "base64");
  if (bytes.length === 0) throw fault("nothing");
  return bytes;
}
