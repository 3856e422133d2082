/** Items that one side puts in and the other takes out, each waiting for the other. */
export class Channel<Item> implements AsyncIterable<Item> {
  private readonly most: number;
  private readonly items: Item[] = [];
  private ended = false;
  private onItem: (() => void) | undefined;
  private onRoom: (() => void) | undefined;

  /** Holds at most so many. */
  constructor(most: number) {
    this.most = most;
  }

  /** Settles when there is room for the next. */
  async push(item: Item): Promise<void> {
    this.items.push(item);
    this.onItem?.();
    if (this.items.length < this.most) return;
    await new Promise<void>((resolve) => {
      this.onRoom = resolve;
    });
  }

  /** The item that would be taken out next; undefined where none is there yet. */
  get next(): Item | undefined {
    return this.items[0];
  }

  end(): void {
    this.ended = true;
    this.onItem?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    for (;;) {
      while (this.items.length > 0) {
        const item = this.items.shift()!;
        this.onRoom?.();
        yield item;
      }
      if (this.ended) return;
      await new Promise<void>((resolve) => {
        this.onItem = resolve;
      });
    }
  }
}
