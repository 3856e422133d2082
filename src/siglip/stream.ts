import { SiglipError } from "../support/error.ts";
import { immediate } from "../support/immediate.ts";
import { normalise } from "./embeddings.ts";
import { noBatch } from "./option-advice.ts";

/** Items that went through a tower together, and what became of each. */
export interface EmbeddedBatch<Item> {
  /** The first item's number in the stream. */
  readonly first: number;
  /** As they were given. */
  readonly items: readonly Item[];
  /** For each its embedding [dim], of length 1, or what is wrong with it. */
  readonly embeddings: readonly (Float32Array | SiglipError)[];
}

/** How items become embeddings. */
export interface Way<Item, Prepared> {
  /** How many go through the tower together. */
  readonly batch: number;
  /** How many are prepared at a time, 4 by default: while one waits for its file another one is decoded. */
  readonly atOnce?: number;
  /** One item, on the host; `index` is its number in the stream. */
  prepare(item: Item, signal: AbortSignal | undefined, index: number): Promise<Prepared>;
  /** Some of them through the tower, to [n, dim]. */
  run(prepared: readonly Prepared[], signal?: AbortSignal): Promise<Float32Array>;
}

/** What may be wrong with one item while the others are sound. */
const OWN: readonly string[] = ["bad-input", "unsupported", "not-found", "network", "storage"];

/** Gives the event loop a turn; a timer, which waits for a millisecond, where there is nothing quicker. */
const soon = immediate ?? setTimeout;

/** Whether an error is one item's own. */
export function isOfItem(error: unknown): error is SiglipError {
  return error instanceof SiglipError && OWN.includes(error.code);
}

/**
 * Embeds items in order, batch by batch: while one is in the tower the next ones are prepared, at least two and as many as keep `atOnce`
 * items in work. An item of which nothing can be made comes as its error; whatever else goes wrong ends the stream.
 */
export async function* stream<Item, Prepared>(
  items: Iterable<Item> | AsyncIterable<Item>,
  { batch, atOnce = 4, prepare, run }: Way<Item, Prepared>,
  signal?: AbortSignal,
): AsyncGenerator<EmbeddedBatch<Item>, void, undefined> {
  if (!(Number.isInteger(batch) && batch >= 1)) {
    throw noBatch(batch);
  }
  const ahead = 2 + Math.ceil(atOnce / batch);
  const waiting: (() => void)[] = [];
  const begun: Promise<EmbeddedBatch<Item> | undefined>[] = [];
  const source = parts(items, batch);
  let free = atOnce;
  let next = 0;
  let ended = false;
  let running: Promise<Float32Array> | undefined;

  const prepareInTurn = async (item: Item, index: number) => {
    if (free-- <= 0) await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      signal?.throwIfAborted();
      // Nobody will ask for it.
      if (ended) throw ended;
      return await prepare(item, signal, index);
    } catch (error) {
      if (!isOfItem(error) || signal?.aborted) throw error;
      return error;
    } finally {
      free++;
      waiting.shift()?.();
    }
  };
  const begin = async (before?: Promise<unknown>) => {
    const { value: part, done } = await source.next();
    if (done) return;
    const first = next;
    next += part.length;
    const prepared = await Promise.all(part.map((item, index) => prepareInTurn(item, first + index)));
    await before;
    if (ended) throw ended;
    const sound = prepared.filter((one): one is Awaited<Prepared> => !(one instanceof SiglipError));
    running = sound.length > 0 ? run(sound, signal) : undefined;
    const data = (await running) ?? new Float32Array();
    const width = data.length / sound.length;
    normalise(data, width);
    let row = 0;
    const embeddings = prepared.map((one) =>
      one instanceof SiglipError ? one : data.subarray(row * width, ++row * width),
    );
    return { first, items: part, embeddings };
  };

  try {
    for (;;) {
      while (begun.length < ahead) {
        const one = begin(begun.at(-1));
        one.catch(() => {}); // told where it is awaited
        begun.push(one);
      }
      const found = await begun.shift();
      if (!found) return;
      // Batches that follow each other at once, each short, would leave the event loop no turn.
      await new Promise((resolve) => soon(resolve));
      yield found;
    }
  } finally {
    ended = true;
    // Not waited for: it may itself wait for an item that never comes.
    source.return(undefined).catch(() => {});
    await running?.catch(() => {});
  }
}

async function* parts<Item>(items: Iterable<Item> | AsyncIterable<Item>, size: number): AsyncGenerator<Item[]> {
  let part: Item[] = [];
  for await (const item of items) {
    part.push(item);
    if (part.length < size) continue;
    yield part;
    part = [];
  }
  if (part.length > 0) yield part;
}
