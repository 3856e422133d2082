import type { Kind, StoredVector, VectorHeader, VectorKey, Vectors } from "../search/vectors.ts";
import { type JournalHeader, type Journals, journalled } from "./journal.ts";
import { keyText, parseKey } from "./keys.ts";
import type { Ledger } from "./ledger.ts";

const KINDS: readonly Kind[] = ["image", "text"];

/** Rows that are held at a time. */
const SOME = 64;

/** All that is wanted, in its order: from journals, and from the rows of the file of before. */
export class Assembled implements Vectors {
  readonly header: VectorHeader;
  private readonly ledger: Ledger;
  private readonly journals: Journals;
  private readonly before: Vectors | undefined;

  private constructor(header: VectorHeader, ledger: Ledger, journals: Journals, before: Vectors | undefined) {
    this.header = header;
    this.ledger = ledger;
    this.journals = journals;
    this.before = before;
  }

  static async make(
    header: JournalHeader,
    ledger: Ledger,
    journals: Journals,
    before?: Vectors,
    signal?: AbortSignal,
  ): Promise<Assembled> {
    const counts = { image: 0, text: 0 };
    let [last, ascending] = [-1, true];
    for (const kind of KINDS) {
      for (const { place } of ledger.wantedPlaces(kind)) {
        counts[kind]++;
        if (journalled(place)) continue;
        ascending &&= place > last;
        last = place;
      }
    }
    // The file of before can be gone through but once for one way through all.
    if (before && !ascending) await journalRows(before, ledger, journals, signal);
    return new Assembled({ ...header, counts }, ledger, journals, before);
  }

  keys(signal?: AbortSignal): AsyncIterable<VectorKey> {
    return oneByOne(this.blocks((before) => before.keys(signal), signal));
  }

  rows(signal?: AbortSignal): AsyncIterable<StoredVector> {
    return oneByOne(this.blocks((before) => before.rows(signal), signal));
  }

  private async *blocks<T extends VectorKey>(
    rowsOf: (before: Vectors) => AsyncIterable<T>,
    signal?: AbortSignal,
  ): AsyncGenerator<T[], void, undefined> {
    let rows: AsyncIterator<T> | undefined;
    let next = 0;
    let block: T[] = [];
    try {
      for (const kind of KINDS) {
        for (const { place } of this.ledger.wantedPlaces(kind)) {
          signal?.throwIfAborted();
          if (journalled(place)) {
            const { key, scale, values } = this.journals.ready(place) ?? (await this.journals.read(place));
            block.push({ scale, bytes: values, ...parseKey(key)! } as VectorKey as T);
          } else {
            rows ??= rowsOf(this.before!)[Symbol.asyncIterator]();
            for (; next < place; next++) await rows.next();
            next++;
            block.push((await rows.next()).value);
          }
          if (block.length < SOME) continue;
          yield block;
          block = [];
        }
      }
      yield block;
    } finally {
      await rows?.return?.();
    }
  }
}

/** The items of blocks, one by one; by hand, for a generator makes many more promises for each. */
function oneByOne<T>(blocks: AsyncGenerator<readonly T[], void, undefined>): AsyncIterableIterator<T> {
  let block: readonly T[] = [];
  let at = 0;
  return {
    async next() {
      while (at === block.length) {
        const found = await blocks.next();
        if (found.done) return { value: undefined, done: true };
        [block, at] = [found.value, 0];
      }
      return { value: block[at++], done: false };
    },
    async return() {
      await blocks.return();
      return { value: undefined, done: true };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Writes those rows of the file of before that are wanted into the journal. */
async function journalRows(before: Vectors, ledger: Ledger, journals: Journals, signal?: AbortSignal): Promise<void> {
  let some: { number: number; row: StoredVector }[] = [];
  const flush = async () => {
    const places = await journals.append(
      some.map(({ row: { bytes, scale, ...key } }) => ({ key: keyText(key), scale, values: bytes })),
    );
    for (const [at, { number }] of some.entries()) ledger.made(number, places[at]);
    some = [];
  };
  const wanted = new Uint8Array(before.header.counts.image + before.header.counts.text);
  for (const kind of KINDS) for (const { place } of ledger.wantedPlaces(kind)) wanted[place] = 1;
  let at = 0;
  for await (const row of before.rows(signal)) {
    if (wanted[at] === 1) some.push({ number: ledger.numberOf(at), row });
    if (some.length === SOME) await flush();
    at++;
  }
  await flush();
}
