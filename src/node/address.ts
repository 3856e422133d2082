import { mismatch, shorten } from "../support/error.ts";

/**
 * The URL that a string is where it begins with a scheme of two letters or more; undefined for a path. Throws a
 * SiglipError for what begins like a URL and is none.
 */
export function asUrl(place: string | URL): URL | undefined {
  if (place instanceof URL) return place;
  if (!/^[a-z][a-z0-9+.-]+:/i.test(place)) return undefined;
  if (URL.canParse(place)) return new URL(place);
  if (!/^[a-z]+:\/\//i.test(place)) return undefined;
  throw mismatch("bad-input", JSON.stringify(shorten(place)), "a URL", "one that cannot be read", "correct it");
}
