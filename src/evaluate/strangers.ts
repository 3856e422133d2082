import { mismatch } from "../support/error.ts";

/** Most characters of what a stranger wrote that an error shows. */
const SHOWN = 100;

/** A value of somebody's JSON as an error shows it: on one line, and of a long text the beginning. */
export function shown(value: unknown): string {
  if (value === undefined) return "none";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = typeof value === "string" ? JSON.stringify(value.slice(0, SHOWN)) : String(value);
  return text.replace(/[\s\u2028\u2029]+/g, " ");
}

/** The value that a text is in JSON. Throws a SiglipError that begins with `name`. */
export function parseJsonText(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = (cause as Error).message.replace(/\s+/g, " ");
    throw mismatch("bad-input", name, "JSON", `text that is none (${reason})`, "mend it or fetch it again", cause);
  }
}
