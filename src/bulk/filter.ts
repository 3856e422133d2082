import type { NodeImage } from "../node/platform.ts";
import type { Kind } from "../search/vectors.ts";
import { isOfItem } from "../siglip/stream.ts";
import { SiglipError } from "../support/error.ts";
import { Batcher } from "./batcher.ts";
import { Channel } from "./channel.ts";

/** An item is not kept waiting for a whole batch for longer than this, in milliseconds. */
const WAIT = 30;

/** Characters that are written at a time. */
const PIECE = 2 ** 16;

/** Lines that are under way or wait to be written. */
const LINES = 256;

/** Something to be embedded, and what it is called in the answer. */
export interface Question {
  readonly kind: Kind;
  readonly id?: string | number;
  readonly name: string;
  load(signal?: AbortSignal): Promise<NodeImage | string>;
}

/** How a filter embeds, and where its lines go. */
export interface FilterOptions {
  /** How many of a kind go through the tower together. */
  readonly size: (kind: Kind) => Promise<number>;
  readonly embed: (kind: Kind, items: readonly (NodeImage | string)[]) => Promise<readonly Answer[]>;
  /** Takes whole lines; settles when there is room for more. */
  readonly write: (lines: string) => Promise<void>;
  readonly signal?: AbortSignal;
}

type Answer = Float32Array | SiglipError;

interface Line {
  readonly text: Promise<string>;
  settled: boolean;
}

/**
 * Answers each question with a line of JSON, in their order: `{ id or name, embedding }`, or `{ id or name, error }`. What can
 * be written is written at once, whether more questions come or not. Gives how many were answered, and how many by an error.
 * Rejects with what no question is to blame for, a model that is missing among it.
 */
export async function filter(
  questions: AsyncIterable<Question>,
  { size, embed, write, signal }: FilterOptions,
): Promise<{ answered: number; failed: number }> {
  const batchers = new Map<Kind, Promise<Batcher<NodeImage | string, Answer>>>();
  const lines = new Channel<Line>(LINES);
  let [answered, failed] = [0, 0];

  const open = async (kind: Kind) =>
    new Batcher<NodeImage | string, Answer>(await size(kind), WAIT, (items) => embed(kind, items));
  const ask = async ({ kind, load }: Question): Promise<Answer> => {
    let item: NodeImage | string;
    try {
      item = await load(signal);
    } catch (error) {
      if (!isOfItem(error) || signal?.aborted) throw error;
      return error;
    }
    const batcher = batchers.get(kind) ?? open(kind);
    batchers.set(kind, batcher);
    return (await batcher).add(item);
  };
  const answer = async (question: Question): Promise<string> => {
    const called = question.id === undefined ? { name: question.name } : { id: question.id };
    const found = await ask(question);
    answered++;
    if (!(found instanceof SiglipError)) return JSON.stringify({ ...called, embedding: numbers(found) });
    failed++;
    return JSON.stringify({ ...called, error: found.message });
  };
  const writeAll = async () => {
    let some = "";
    for await (const line of lines) {
      some += `${await line.text}\n`;
      // What is settled goes out in one piece.
      if (lines.next?.settled && some.length < PIECE) continue;
      await write(some);
      some = "";
    }
  };

  const written = writeAll();
  written.catch((error) => lines.fail(error));
  // Whoever reads the lines may have stopped reading.
  signal?.addEventListener("abort", () => lines.fail(signal.reason), { once: true });
  try {
    for await (const question of questions) {
      signal?.throwIfAborted();
      const line: Line = { text: answer(question), settled: false };
      const settle = () => {
        line.settled = true;
      };
      line.text.then(settle, settle);
      await lines.push(line);
    }
  } finally {
    lines.end();
    // Whatever ended the questions: those before it are answered still.
    if (!signal?.aborted) await written;
  }
  return { answered, failed };
}

/** Nine significant digits are enough to give every float32 back. */
function numbers(values: Float32Array): number[] {
  return Array.from(values, (value) => Number(value.toPrecision(9)));
}
