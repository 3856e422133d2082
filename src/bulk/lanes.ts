import { encodeVector } from "../search/encode-vector.ts";
import type { Kind } from "../search/vectors.ts";
import { isOfItem } from "../siglip/stream.ts";
import { SiglipError } from "../support/error.ts";
import { Channel } from "./channel.ts";
import type { Entry } from "./entry.ts";
import type { Failures } from "./failures.ts";
import type { Journals } from "./journal.ts";
import { keyText } from "./keys.ts";
import type { Ledger } from "./ledger.ts";
import type { EmbedJob } from "./run.ts";

/** Entries that wait for a tower beside those of its batches. */
const AHEAD = 4;

/** An entry on its way. */
interface Pending {
  readonly number: number;
  readonly key: string;
}

interface Lane {
  readonly items: Channel<Awaited<ReturnType<Entry["load"]>>>;
  /** In the order in which they were put in. */
  readonly pending: Pending[];
  readonly done: Promise<void>;
}

/** Brings a source's entries to the towers, pictures and texts each on a lane of their own, and what is made to a journal. */
export class Lanes {
  private readonly job: EmbedJob;
  private readonly ledger: Ledger;
  private readonly journals: Journals;
  private readonly failures: Failures;
  private readonly lanes = new Map<Kind, Lane>();
  private done = 0;
  /** Embeddings that were made and written. */
  made = 0;

  constructor(job: EmbedJob, ledger: Ledger, journals: Journals, failures: Failures) {
    this.job = job;
    this.ledger = ledger;
    this.journals = journals;
    this.failures = failures;
  }

  /** Goes through the source once; settles when all that was missing is written or has failed. */
  async run(): Promise<void> {
    const { source, signal } = this.job;
    try {
      for await (const entry of source) {
        signal?.throwIfAborted();
        const { number, missing } = this.ledger.want(entry);
        if (missing) await this.take(entry, number);
        else this.progress(1);
      }
    } finally {
      // Whatever ended the source: what is under way is written still.
      for (const { items } of this.lanes.values()) items.end();
      await Promise.all([...this.lanes.values()].map(({ done }) => done));
    }
  }

  private async take(entry: Entry, number: number): Promise<void> {
    let item: Awaited<ReturnType<Entry["load"]>>;
    try {
      item = await entry.load(this.job.signal);
    } catch (error) {
      if (!isOfItem(error) || this.job.signal?.aborted) throw error;
      this.fail(number, error);
      return;
    }
    const lane = this.lanes.get(entry.kind) ?? (await this.open(entry.kind));
    lane.pending.push({ number, key: keyText(entry) });
    await lane.items.push(item);
  }

  private async open(kind: Kind): Promise<Lane> {
    const { path, format, signal } = this.job;
    await format.check(path, [...this.lanes.keys(), kind]);
    await this.journals.fold(
      (key, place) => this.ledger.counts(key, place),
      (key, place) => this.ledger.moved(key, place),
      signal,
    );
    await this.journals.begin();
    const items: Lane["items"] = new Channel(AHEAD);
    const pending: Pending[] = [];
    const done = this.drain(kind, items, pending);
    done.catch((error) => items.fail(error));
    const lane = { items, pending, done };
    this.lanes.set(kind, lane);
    return lane;
  }

  private async drain(kind: Kind, items: Lane["items"], pending: Pending[]): Promise<void> {
    const { dtype } = this.job.header;
    for await (const { embeddings } of this.job.embed(kind, items)) {
      const batch = pending.splice(0, embeddings.length);
      const sound = batch.flatMap(({ number, key }, index) => {
        const embedding = embeddings[index];
        if (embedding instanceof SiglipError) {
          this.fail(number, embedding);
          return [];
        }
        const { bytes, scale } = encodeVector(embedding, dtype);
        return [{ number, key, scale, values: bytes }];
      });
      const places = await this.journals.append(sound);
      for (const [index, { number }] of sound.entries()) this.ledger.made(number, places[index]);
      this.made += sound.length;
      this.progress(sound.length);
    }
  }

  private fail(number: number, error: SiglipError): void {
    this.ledger.fail(number);
    this.failures.add(error);
    this.progress(1);
  }

  private progress(more: number): void {
    this.done += more;
    this.job.onProgress?.(this.done, this.made);
  }
}
