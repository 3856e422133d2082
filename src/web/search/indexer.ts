import { sentence } from "../dom.ts";
import type { RemoteModel } from "../models/remote.ts";
import type { Found } from "./files.ts";
import type { Entry } from "./store.ts";
import { makeThumbnail } from "./thumbnail.ts";

/** What happens while pictures are embedded. */
export interface IndexerEvents {
  /** Some more are embedded. */
  onEmbedded(entries: readonly Entry[]): Promise<void>;
  /** One cannot be. */
  onFailed(picture: Found, message: string): void;
  /** There is news: a part was done, the pause began or ended, all is done. */
  onChange(): void;
}

/** Embeds pictures in the background, some at a time, so that what is typed meanwhile waits only for those. */
export class Indexer {
  done = 0;
  total: number;
  paused = false;
  private readonly model: RemoteModel;
  private readonly events: IndexerEvents;
  private readonly queue: Found[];
  private stopped = false;
  private resume: () => void = () => {};
  private working = 0;

  constructor(model: RemoteModel, pictures: readonly Found[], events: IndexerEvents) {
    this.model = model;
    this.queue = [...pictures];
    this.total = this.queue.length;
    this.events = events;
  }

  get running(): boolean {
    return !this.stopped && this.done < this.total;
  }

  /** Seconds that the rest will take at the pace so far. */
  get left(): number | undefined {
    return this.done === 0 ? undefined : ((this.working / this.done) * (this.total - this.done)) / 1000;
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.resume();
    this.events.onChange();
  }

  stop(): void {
    this.stopped = true;
    this.resume();
  }

  /** Resolves when all are done, or at `stop`. */
  async run(): Promise<void> {
    const batch = this.model.device.batch.images;
    while (this.running) {
      if (this.paused) {
        await new Promise<void>((resolve) => {
          this.resume = resolve;
        });
        continue;
      }
      const started = performance.now();
      const part = this.queue.splice(0, batch);
      const entries = await this.embed(part);
      if (this.stopped) return;
      await this.events.onEmbedded(entries);
      this.done += part.length;
      this.working += performance.now() - started;
      this.events.onChange();
    }
  }

  /**
   * One that fails is no reason to lose the others: they are then tried one by one, after a lost device on a new one.
   */
  private async embed(part: readonly Found[]): Promise<Entry[]> {
    try {
      const files = await Promise.all(part.map((picture) => picture.open()));
      const [{ data, shape }, thumbnails] = await Promise.all([
        this.model.embedImages(files),
        Promise.all(files.map(makeThumbnail)),
      ]);
      return part.map(({ id, folder, path }, index) => ({
        picture: { id, folder, path },
        embedding: data.slice(index * shape[1], (index + 1) * shape[1]),
        thumbnail: thumbnails[index],
      }));
    } catch (error) {
      if (this.stopped) return [];
      if (part.length === 1) {
        this.events.onFailed(part[0], sentence(error));
        return [];
      }
      const entries: Entry[] = [];
      for (const picture of part) entries.push(...(await this.embed([picture])));
      return entries;
    }
  }
}
