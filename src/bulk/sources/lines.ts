import { mismatch } from "../../support/error.ts";

/** By default a line is at most this long, in bytes: what is longer is no text, path or URL. */
const LONGEST = 2 ** 20;

const LF = 10;
const CR = 13;

/** A line of a file. */
export interface Line {
  /** Counted from 1. */
  readonly number: number;
  readonly text: string;
}

/**
 * The lines of UTF-8 as they arrive. A byte order mark is taken away, and what ends lines: line feeds, with or without
 * carriage returns before them, or zero bytes where the first piece holds any (`find -print0`). An end at the very end
 * begins no line. Throws a SiglipError for a line of more than `longest` bytes (1 MiB) and for bytes that are no UTF-8.
 */
export async function* readLinesOf(
  bytes: AsyncIterable<Uint8Array>,
  name: string,
  longest = LONGEST,
): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let end: number | undefined;
  let rest: Uint8Array[] = [];
  let length = 0;
  let number = 0;
  const check = (size: number, line: number) => {
    if (size <= longest) return;
    throw mismatch("bad-input", `${name}:${line}`, `a line of at most ${longest} bytes`, "a longer one", "split it");
  };
  const take = (last: Uint8Array): Line => {
    number++;
    const whole = rest.length === 0 ? last : Buffer.concat([...rest, last]);
    rest = [];
    length = 0;
    check(whole.length, number);
    const cut = end === LF && whole.at(-1) === CR ? whole.subarray(0, -1) : whole;
    try {
      const text = decoder.decode(cut);
      return { number, text: number === 1 ? text.replace(/^\ufeff/, "") : text };
    } catch (cause) {
      throw mismatch("bad-input", `${name}:${number}`, "text in UTF-8", "other bytes", "convert the file", cause);
    }
  };
  for await (const piece of bytes) {
    end ??= piece.includes(0) ? 0 : LF;
    let from = 0;
    for (let to = piece.indexOf(end); to >= 0; to = piece.indexOf(end, from)) {
      yield take(piece.subarray(from, to));
      from = to + 1;
    }
    if (from === piece.length) continue;
    // A piece's memory may be used again for the next.
    rest.push(piece.slice(from));
    length += piece.length - from;
    check(length, number + 1);
  }
  if (length > 0) yield take(new Uint8Array(0));
}
