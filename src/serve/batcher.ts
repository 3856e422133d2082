import { mismatch, SiglipError } from "../support/error.ts";

/** Options of a `Batcher`. */
export interface BatcherOptions<Item, Result> {
  /** Most items that are run together. */
  readonly batch: number;
  /** Milliseconds that an item waits for others at most, while there is a place to run. */
  readonly maxWait: number;
  /** Most items that wait; a call which would exceed it is refused. */
  readonly maxQueue: number;
  /** Batches that run at a time: with two, one is prepared while the other is computed. */
  readonly atOnce: number;
  /**
   * Runs 1 to `batch` items: for each its result or what is wrong with it, in their order. The signal aborts when nobody
   * waits for any of them. A rejection is told to all who wait.
   */
  run(items: readonly Item[], signal: AbortSignal): Promise<readonly (Result | SiglipError)[]>;
  /** Told of every batch that ended: how many items, and in how many seconds. */
  readonly onBatch?: (size: number, seconds: number) => void;
}

/** An item of a call with which nothing could be done; the call's other items are dropped with it. */
export class ItemError extends Error {
  /** Its number in the call's list. */
  readonly index: number;
  /** What is wrong with it. */
  override readonly cause: SiglipError;

  constructor(index: number, cause: SiglipError) {
    super(cause.message);
    this.index = index;
    this.cause = cause;
  }
}

/** The refusal of a call for which there is no room. */
export class FullError extends Error {
  /** Whole seconds after which there may be room, 1 to 60. */
  readonly retryAfter: number;

  constructor(message: string, retryAfter: number) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

/** One call of `add`. */
interface Call<Item, Result> {
  readonly items: readonly Item[];
  /** Of these so many are in batches, or have been. */
  begun: number;
  /** When it was made, by performance.now(). */
  readonly since: number;
  readonly results: Result[];
  left: number;
  /** False once it is settled: nobody waits for its items any more. */
  open: boolean;
  end(error?: unknown): void;
}

interface Entry<Item, Result> {
  readonly item: Item;
  readonly index: number;
  readonly call: Call<Item, Result>;
}

interface Running<Item, Result> {
  readonly entries: readonly Entry<Item, Result>[];
  readonly abort: AbortController;
}

/**
 * Puts the items of many calls into common batches: of each call one in turn, so that a long one keeps nobody waiting. A
 * batch begins as soon as it is full or an item has waited `maxWait`, once there is a place to run.
 */
export class Batcher<Item, Result> {
  private readonly options: BatcherOptions<Item, Result>;
  /** Calls of which items wait, the one whose turn is next first. */
  private queue: Call<Item, Result>[] = [];
  private length = 0;
  private readonly running = new Set<Running<Item, Result>>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Milliseconds an item takes, by the recent batches. */
  private pace = 0;

  constructor(options: BatcherOptions<Item, Result>) {
    this.options = options;
  }

  /** Items that wait. */
  get waiting(): number {
    return this.length;
  }

  /**
   * The items' results, in their order. Rejects with FullError where they exceed the queue, with ItemError for the first
   * item found to be no good, with what a batch rejects with, and with the signal's reason: items then leave the queue, and
   * a batch of which nobody waits for anything is aborted.
   */
  add(items: readonly Item[], signal?: AbortSignal): Promise<Result[]> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      this.checkRoom(items.length);
      const onAbort = () => call.end(signal!.reason);
      const call: Call<Item, Result> = {
        items,
        begun: 0,
        since: performance.now(),
        results: new Array(items.length),
        left: items.length,
        open: true,
        end: (error) => {
          if (!call.open) return;
          call.open = false;
          signal?.removeEventListener("abort", onAbort);
          if (call.left === 0) return resolve(call.results);
          reject(error);
          this.forget(call);
        },
      };
      if (call.left === 0) return call.end();
      signal?.addEventListener("abort", onAbort);
      this.queue.push(call);
      this.length += items.length;
      this.schedule();
    });
  }

  private checkRoom(count: number): void {
    const { maxQueue } = this.options;
    const { length } = this;
    if (length + count <= maxQueue) return;
    const wait = Math.min(60, Math.max(1, Math.ceil((length * this.pace) / 1000)));
    const found = `${length} and ${count} more`;
    const advice = `try again in ${wait} ${wait === 1 ? "second" : "seconds"}`;
    throw new FullError(mismatch("bad-input", "queue", `at most ${maxQueue} waiting`, found, advice).message, wait);
  }

  private forget(call: Call<Item, Result>): void {
    if (call.begun < call.items.length) {
      this.queue = this.queue.filter((one) => one !== call);
      this.length -= call.items.length - call.begun;
    }
    for (const { entries, abort } of this.running) {
      if (!entries.some((entry) => entry.call.open)) abort.abort();
    }
  }

  /** Starts what may start, and comes back when the next may. */
  private schedule(): void {
    const { batch, maxWait, atOnce } = this.options;
    clearTimeout(this.timer);
    while (this.length > 0 && this.running.size < atOnce) {
      if (this.length < batch) {
        const left = Math.min(...this.queue.map(({ since }) => since)) + maxWait - performance.now();
        if (left > 0) {
          this.timer = setTimeout(() => this.schedule(), Math.ceil(left));
          return;
        }
      }
      this.start(this.take());
    }
  }

  /** The next batch's items. */
  private take(): Entry<Item, Result>[] {
    const entries: Entry<Item, Result>[] = [];
    while (entries.length < this.options.batch && this.queue.length > 0) {
      const call = this.queue.shift()!;
      const index = call.begun++;
      entries.push({ item: call.items[index], index, call });
      if (call.begun < call.items.length) this.queue.push(call);
    }
    this.length -= entries.length;
    return entries;
  }

  private async start(entries: readonly Entry<Item, Result>[]): Promise<void> {
    const one = { entries, abort: new AbortController() };
    const began = performance.now();
    this.running.add(one);
    try {
      const items = entries.map(({ item }) => item);
      const results = await this.options.run(items, one.abort.signal);
      const seconds = (performance.now() - began) / 1000;
      const pace = (1000 * seconds) / (entries.length * this.running.size);
      this.pace = this.pace === 0 ? pace : 0.8 * this.pace + 0.2 * pace;
      this.options.onBatch?.(entries.length, seconds);
      for (const [at, { index, call }] of entries.entries()) {
        const result = results[at];
        if (result instanceof SiglipError) call.end(new ItemError(index, result));
        else if (call.open) {
          call.results[index] = result;
          call.left--;
          if (call.left === 0) call.end();
        }
      }
    } catch (error) {
      for (const { call } of entries) call.end(error);
    } finally {
      this.running.delete(one);
      this.schedule();
    }
  }
}
