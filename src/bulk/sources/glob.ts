import picomatch from "picomatch";
import { mismatch } from "../../support/error.ts";
import type { Context, Part } from "./context.ts";
import { holdingOf, isPictureName } from "./endings.ts";
import { checkSome, countKept, slashed, walk } from "./folder.ts";
import { pictures } from "./pictures.ts";

/** Whether a word holds any of the signs of a pattern. */
export function isGlob(word: string): boolean {
  const { isGlob, negated } = picomatch.scan(slashed(word));
  return isGlob === true && negated !== true;
}

/**
 * The files that fit a pattern, `**` for any folders included, in the order of a folder's. A pattern that ends in a
 * name's ending gives all that fits, each read by `read`; another gives pictures only. Rejects with a SiglipError where
 * nothing fits.
 */
export async function globPart(pattern: string, read: (path: string) => Promise<Part>): Promise<Part> {
  const { base, glob } = picomatch.scan(slashed(pattern)) as { base: string; glob: string };
  const fits = picomatch(glob, { expandRange: range });
  const ending = /\.([a-z0-9]+)$/i.exec(glob)?.[0];
  const accept = (path: string) => (ending !== undefined || isPictureName(path)) && fits(path);
  const depth = glob.includes("**") ? undefined : glob.split("/").length - 1;
  const find = (context: Context) => walk(base || ".", { accept, depth }, context);
  await checkSome(find, pattern, "files that fit this pattern");
  if (ending === undefined || holdingOf(glob) === "picture") {
    return {
      entries: (context) => pictures(find(context), context),
      count: (context) => countKept(find(context), context),
    };
  }
  return {
    async *entries(context) {
      for await (const path of find(context)) yield* (await read(path)).entries(context);
    },
  };
}

/** Most numbers of a range in braces, such as {0000..0099}. */
const MOST = 100_000;

/** A range in braces as a regular expression: numbers with the zeros that they begin with, or letters. */
function range(from: string, to: string): string {
  if (!/^\d+$/.test(from) || !/^\d+$/.test(to)) return `[${from}-${to}]`;
  const [low, high] = [Number(from), Number(to)].sort((a, b) => a - b);
  if (high - low >= MOST) throw mismatch("bad-input", `{${from}..${to}}`, `at most ${MOST} numbers`, "more", "use *");
  const width = /^0\d/.test(from) || /^0\d/.test(to) ? Math.max(from.length, to.length) : 0;
  const numbers = Array.from({ length: high - low + 1 }, (_, index) => String(low + index).padStart(width, "0"));
  return `(?:${numbers.join("|")})`;
}
