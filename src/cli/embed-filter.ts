import { addAbortSignal } from "node:stream";
import { filter, type Question } from "../bulk/filter.ts";
import { parseItem } from "../bulk/sources/items.ts";
import { readLinesOf } from "../bulk/sources/lines.ts";
import { mismatch, SiglipError } from "../support/error.ts";
import type { EmbedModels } from "./embed-models.ts";
import { harmless } from "./terminal.ts";

/** `siglip embed - --out -`: answers each line of stdin with one of stdout. */
export async function embedLines(models: EmbedModels, signal: AbortSignal): Promise<void> {
  // Where no more answers can come no more questions are waited for.
  const ending = <R>(made: Promise<R>): Promise<R> => {
    made.catch((error) => process.stdin.destroy(error));
    return made;
  };
  const { answered, failed } = await filter(questions(signal), {
    size: (kind) => ending(models.batchSize(kind)),
    embed: (kind, items) => ending(models.embedAll(kind, items)),
    write: (lines) =>
      new Promise((resolve) => {
        // What goes wrong there ends the process.
        process.stdout.write(harmless(lines), () => resolve());
      }),
    signal,
  });
  if (failed === 0) return;
  const found = `${answered - failed}, and errors in the lines of the others`;
  throw mismatch("bad-input", "stdin", `embeddings of all ${answered}`, found, "mend these or leave them out");
}

/** Paths, URLs, and lines of JSON; a line that is none of them is answered by what is wrong with it. */
async function* questions(signal: AbortSignal): AsyncGenerator<Question> {
  for await (const { text, number } of readLinesOf(addAbortSignal(signal, process.stdin), "stdin")) {
    if (text.trim() !== "") yield question(text, `stdin:${number}`);
  }
}

function question(line: string, where: string): Question {
  if (!/^\s*\{/.test(line)) return { kind: "image", name: line, load: async () => line };
  try {
    const item = parseItem(line, where);
    return { ...item, load: async () => item.name };
  } catch (error) {
    if (!(error instanceof SiglipError)) throw error;
    return { kind: "image", name: where, load: () => Promise.reject(error) };
  }
}
