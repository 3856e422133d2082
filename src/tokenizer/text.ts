import { mismatch } from "../support/error.ts";

/**
 * The longest text taken, in UTF-16 code units, and the longest normalised text, in bytes: 32 Mi. Encoding takes up to
 * 64 bytes for each normalised byte of the longest stretch that no piece boundary divides (in common texts a word), and
 * 8 for each id.
 */
export const MAX_TEXT = 1 << 25;

/** The text, where it is a string of at most `MAX_TEXT` code units; else a SiglipError that begins with `name`. */
export function checkText(text: unknown, name: string): string {
  if (typeof text !== "string") {
    throw mismatch("bad-input", name, "a string", text === null ? "null" : typeof text, "pass text");
  }
  if (text.length > MAX_TEXT) {
    throw mismatch("bad-input", name, `at most ${MAX_TEXT} characters`, `${text.length}`, "shorten it");
  }
  return text;
}

/**
 * The bytes of the UTF-8 character that begins with `byte`; 1 for a continuation byte, as in SentencePiece's
 * `OneCharLen`.
 */
export function charLength(byte: number): number {
  return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}
