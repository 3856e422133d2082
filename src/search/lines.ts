import { mismatch } from "../support/error.ts";
import { concatenate } from "../support/numbers.ts";

/** Bytes of the longest line that is read. */
const LONGEST = 2 ** 26;

/**
 * Lines of UTF-8 as they arrive, without their ends; an empty one at the end is none. Rejects with a SiglipError for
 * other bytes and for a line above 64 MiB.
 */
export async function* readLines(pieces: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<string> {
  let begun: Uint8Array[] = [];
  let length = 0;
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const take = (rest: Uint8Array): string => {
    const line = begun.length > 0 ? concatenate([...begun, rest]) : rest;
    begun = [];
    length = 0;
    try {
      return decoder.decode(line.at(-1) === 13 ? line.subarray(0, -1) : line);
    } catch (cause) {
      throw mismatch("bad-input", name, "text in UTF-8", "other bytes", "write the file again", cause);
    }
  };
  for await (const piece of pieces) {
    let from = 0;
    for (let to = piece.indexOf(10); to >= 0; to = piece.indexOf(10, from)) {
      yield take(piece.subarray(from, to));
      from = to + 1;
    }
    if (from === piece.length) continue;
    length += piece.length - from;
    if (length > LONGEST) {
      throw mismatch("bad-input", name, `lines of at most ${LONGEST} bytes`, "a longer one", "write the file again");
    }
    begun.push(piece.slice(from));
  }
  if (length > 0) yield take(new Uint8Array(0));
}
