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

/** A foreign value, short enough for a sentence: of objects in it, what stands `depth` levels deep. */
export function show(value: unknown, depth = 2): string {
  if (value === undefined) return "none";
  if (typeof value !== "object" || value === null) {
    return JSON.stringify(typeof value === "string" && value.length > 80 ? `${value.slice(0, 80)}…` : value);
  }
  if (depth === 0) return "…";
  const items = Object.entries(value)
    .slice(0, 4)
    .map(([name, inner]) => (Array.isArray(value) ? "" : `${show(name)}:`) + show(inner, depth - 1));
  return Array.isArray(value) ? `[${items}]` : `{${items}}`;
}
