import type * as model from "./model.ts";

// What model.ts has, as the compiler sees to it: an import of values would divide a bundle's main script.
export const NORMAL: typeof model.NORMAL = 1;
export const UNKNOWN: typeof model.UNKNOWN = 2;
export const CONTROL: typeof model.CONTROL = 3;
export const USER_DEFINED: typeof model.USER_DEFINED = 4;
export const BYTE: typeof model.BYTE = 6;
export const MAX_PIECE_BYTES: typeof model.MAX_PIECE_BYTES = 512;

/** What stands under a name in a JSON object, its own only; undefined where there is none, or no object. */
export function own(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

/** A foreign value, short enough for a sentence. */
export function show(value: unknown): string {
  if (value === undefined) return "none";
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
