/** Batches that are under way at once: while one is in the tower another is decoded. */
const AT_ONCE = 2;

/** Puts items that come one by one into batches: none waits longer for others than is said. */
export class Batcher<Item, Result> {
  private readonly run: (items: readonly Item[]) => Promise<readonly Result[]>;
  private readonly wait: number;
  private waiting: { readonly item: Item; readonly settle: (result: Promise<Result>) => void }[] = [];
  private timer: NodeJS.Timeout | undefined;
  /** The last batches, as many as may be under way. */
  private readonly last: Promise<unknown>[] = new Array(AT_ONCE).fill(Promise.resolve());
  private batches = 0;
  /** A batch is full with so many. */
  private readonly size: number;

  /** `run` gives as many results as there are items, in their order; `wait` is in milliseconds. */
  constructor(size: number, wait: number, run: (items: readonly Item[]) => Promise<readonly Result[]>) {
    this.size = size;
    this.wait = wait;
    this.run = run;
  }

  /** What becomes of an item. */
  add(item: Item): Promise<Result> {
    const result = new Promise<Result>((settle) => this.waiting.push({ item, settle }));
    if (this.waiting.length >= this.size) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), this.wait);
    return result;
  }

  /** Has what waits run at once. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const batch = this.waiting;
    this.waiting = [];
    if (batch.length === 0) return;
    const turn = this.batches++ % AT_ONCE;
    const results = this.last[turn].catch(() => {}).then(() => this.run(batch.map(({ item }) => item)));
    this.last[turn] = results;
    for (const [index, { settle }] of batch.entries()) settle(results.then((all) => all[index]));
  }
}
