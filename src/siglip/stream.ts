import { SiglipError } from "../support/error.ts";
import { normalise } from "./embeddings.ts";

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
  /** One item, on the host; `index` is its number in the stream. */
  prepare(item: Item, signal: AbortSignal | undefined, index: number): Promise<Prepared>;
  /** Some of them through the tower, to [n, dim]. */
  run(prepared: readonly Prepared[], signal?: AbortSignal): Promise<Float32Array>;
}

/** What may be wrong with one item while the others are sound. */
const OWN: readonly string[] = ["bad-input", "unsupported", "not-found", "network", "storage"];

/** Items that are prepared at a time: while one waits for its file another one is decoded. */
const AT_ONCE = 4;

/**
 * Embeds items in order, batch by batch: while one is in the tower the next is prepared. An item of which nothing can be made
 * comes as its error; whatever else goes wrong ends the stream.
 */
export async function* stream<Item, Prepared>(
  items: Iterable<Item> | AsyncIterable<Item>,
  { batch, prepare, run }: Way<Item, Prepared>,
  signal?: AbortSignal,
): AsyncGenerator<EmbeddedBatch<Item>, void, undefined> {
  if (!(Number.isInteger(batch) && batch >= 1)) {
    throw (await import("./option-advice.ts")).noBatch(batch);
  }
  const finish = async (first: number, part: readonly Item[], prepared: readonly (Prepared | SiglipError)[]) => {
    const sound = prepared.filter((one): one is Prepared => !(one instanceof SiglipError));
    const data = sound.length > 0 ? await run(sound, signal) : new Float32Array();
    const width = data.length / sound.length;
    normalise(data, width);
    let row = 0;
    const embeddings = prepared.map((one) =>
      one instanceof SiglipError ? one : data.subarray(row * width, ++row * width),
    );
    return { first, items: part, embeddings };
  };
  let running: Promise<EmbeddedBatch<Item>> | undefined;
  let first = 0;
  try {
    for await (const part of parts(items, batch)) {
      signal?.throwIfAborted();
      const prepared = await prepareAll(part, first, prepare, signal);
      const [before, from] = [running, first];
      running = Promise.resolve(before).then(() => finish(from, part, prepared));
      running.catch(() => {}); // told where it is awaited
      first += part.length;
      if (before) yield await before;
      // Preparing that never waits would keep the device from being given this batch.
      await new Promise((resolve) => setTimeout(resolve));
    }
    if (running) yield await running;
  } finally {
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

async function prepareAll<Item, Prepared>(
  part: readonly Item[],
  first: number,
  prepare: Way<Item, Prepared>["prepare"],
  signal?: AbortSignal,
): Promise<(Prepared | SiglipError)[]> {
  const prepared: (Prepared | SiglipError)[] = [];
  const queue = part.entries();
  const work = async () => {
    for (const [index, item] of queue) {
      try {
        prepared[index] = await prepare(item, signal, first + index);
      } catch (error) {
        if (!(error instanceof SiglipError && OWN.includes(error.code)) || signal?.aborted) throw error;
        prepared[index] = error;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return prepared;
}
