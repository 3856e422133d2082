/** Items that one side puts in and the other takes out, each waiting for the other. */
export class Channel<Item> implements AsyncIterable<Item> {
  private readonly most: number;
  private readonly items: Item[] = [];
  private ended = false;
  private failure: { readonly error: unknown } | undefined;
  private wakeReader: (() => void) | undefined;
  private wakeWriter: (() => void) | undefined;

  /** Holds at most so many. */
  constructor(most: number) {
    this.most = most;
  }

  /** Settles when there is room for the next; rejects with what the other side has failed with. */
  async push(item: Item): Promise<void> {
    this.items.push(item);
    this.wakeReader?.();
    while (this.items.length >= this.most && !this.failure) {
      await new Promise<void>((resolve) => {
        this.wakeWriter = resolve;
      });
    }
    if (this.failure) throw this.failure.error;
  }

  /** The item that would be taken out next; undefined where none is there yet. */
  get next(): Item | undefined {
    return this.items[0];
  }

  /** Says that no more comes. */
  end(): void {
    this.ended = true;
    this.wakeReader?.();
  }

  /** Says that no more is taken out, and why. */
  fail(error: unknown): void {
    this.failure = { error };
    this.wakeWriter?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    for (;;) {
      while (this.items.length > 0) {
        const item = this.items.shift()!;
        this.wakeWriter?.();
        yield item;
      }
      if (this.ended) return;
      await new Promise<void>((resolve) => {
        this.wakeReader = resolve;
      });
    }
  }
}
