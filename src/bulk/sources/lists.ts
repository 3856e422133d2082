import { createReadStream } from "node:fs";
import { attempt } from "../../node/file.ts";
import type { Entry } from "../entry.ts";
import type { Context, Part } from "./context.ts";
import { badEntry, itemEntry, parseItem, textEntry } from "./items.ts";
import { type Line, readLinesOf } from "./lines.ts";
import { pictureEntry } from "./pictures.ts";

/**
 * Pictures and texts as they arrive a line each: paths, URLs, or JSON as `parseItem` reads it. Empty lines are passed
 * over.
 */
export function listPart(bytes: AsyncIterable<Uint8Array>, name: string): Part {
  return {
    entries: (context) =>
      entriesOf(readLinesOf(bytes, name), context, ({ text, number }) => {
        if (text === "") return undefined;
        return /^\s*\{/.test(text) ? jsonEntry(text, `${name}:${number}`) : pictureEntry(text);
      }),
  };
}

/** The texts of a UTF-8 file, one a line; an empty line is an empty text. */
export function textsPart(path: string): Part {
  return {
    entries: (context) => entriesOf(fileLines(path, context), context, async ({ text }) => textEntry(text)),
  };
}

/**
 * The lines of a .jsonl file, as `parseItem` reads them; paths of pictures begin at its folder. Empty ones are none.
 */
export function jsonLinesPart(path: string): Part {
  return {
    entries: (context) =>
      entriesOf(fileLines(path, context), context, ({ text, number }) =>
        text.trim() === "" ? undefined : jsonEntry(text, `${path}:${number}`, path),
      ),
  };
}

async function jsonEntry(line: string, where: string, file?: string): Promise<Entry> {
  try {
    return await itemEntry(parseItem(line, where), file);
  } catch (error) {
    return badEntry("text", where, error);
  }
}

async function* entriesOf(
  lines: AsyncIterable<Line>,
  { keep, signal }: Context,
  read: (line: Line) => Promise<Entry> | undefined,
): AsyncGenerator<Entry> {
  for await (const line of lines) {
    signal?.throwIfAborted();
    const entry = await read(line);
    if (entry && keep(entry.name)) yield entry;
  }
}

async function* fileLines(path: string, { signal }: Context): AsyncGenerator<Line> {
  yield* readLinesOf(fileBytes(path, signal), path);
}

/** A file's bytes as they are read; what the file system says against it is a SiglipError. */
export async function* fileBytes(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const stream = createReadStream(path, { highWaterMark: 2 ** 18, signal });
  const pieces = stream[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { value, done } = await attempt(path, "read", () => pieces.next());
      if (done) return;
      yield value as Uint8Array;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    stream.destroy();
  }
}
