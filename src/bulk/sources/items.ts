import { dirname, isAbsolute, join } from "node:path";
import { asUrl } from "../../node/address.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import type { Entry } from "../entry.ts";
import { slashed } from "./folder.ts";
import { pictureEntry } from "./pictures.ts";

/** What a line asks for: a picture by its path or URL, or a text; and what it calls it. */
export interface Item {
  readonly kind: "image" | "text";
  readonly name: string;
  /** As the line has it; undefined where it has none. */
  readonly id?: string | number;
}

/**
 * Reads a line of JSON: `{ "text": … }`, `{ "caption": … }` or a string, which are texts, or `{ "image": … }`, a path
 * or URL; with an `id` or without. Throws a SiglipError for anything else; `where` names the line.
 */
export function parseItem(line: string, where: string): Item {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw mismatch("bad-input", where, "a line of JSON", (cause as Error).message, "correct it", cause);
  }
  if (typeof value === "string") return { kind: "text", name: value };
  const { image, text, caption, id } = isRecord(value) ? value : {};
  if (Number.isInteger(id) && !Number.isSafeInteger(id)) {
    const found = `${id}, which may have been another`;
    throw mismatch("bad-input", where, "an id of at most 2^53 - 1, or a string", found, "put it in quotes");
  }
  const known = typeof id === "string" || typeof id === "number" ? { id } : {};
  if (typeof image === "string" && image !== "") return { kind: "image", name: image, ...known };
  for (const one of [text, caption]) if (typeof one === "string") return { kind: "text", name: one, ...known };
  const found = isRecord(value) ? `the fields ${Object.keys(value).slice(0, 5).join(", ") || "of none"}` : typeof value;
  throw mismatch("bad-input", where, "a string, or an object with image, text or caption", found, "correct the line");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An item as an entry; relative paths begin at the folder of `file`, where one is given. */
export async function itemEntry({ kind, name }: Item, file?: string): Promise<Entry> {
  return kind === "text" ? textEntry(name) : pictureEntry(file === undefined ? name : beside(file, name));
}

/** A text, which is its own name; halves of characters, which UTF-8 has no bytes for, become U+FFFD. */
export function textEntry(words: string): Entry {
  const text = words.replaceAll(/\p{Surrogate}/gu, "\ufffd");
  return { kind: "text", name: text, stamp: "", load: async () => text };
}

/** What could not be read as an item: loading it says what is wrong. */
export function badEntry(kind: Entry["kind"], name: string, error: unknown): Entry {
  if (!(error instanceof SiglipError)) throw error;
  return { kind, name, stamp: "", load: () => Promise.reject(error) };
}

/** A path as it stands in a file, from where that file lies; URLs and absolute paths stay. */
export function beside(file: string, path: string): string {
  return isAbsolute(path) || isUrl(path) ? path : slashed(join(dirname(file), path));
}

function isUrl(place: string): boolean {
  try {
    return asUrl(place) !== undefined;
  } catch {
    return true;
  }
}
