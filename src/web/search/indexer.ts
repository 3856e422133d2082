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
  /** There is news: some were done, the pause began or ended, all is done. */
  onChange(): void;
}

/** A picture that is being embedded. */
interface InWork {
  readonly picture: Found;
  readonly thumbnail: Promise<Blob | undefined>;
}

/** Pictures that are opened ahead: those from a server come side by side. */
const AHEAD = 8;

/** Embeds pictures in the background, one stream of them, which a pause ends and going on begins again. */
export class Indexer {
  done = 0;
  readonly total: number;
  paused = false;
  /** What ended the stream, in a sentence; going on tries again. */
  problem: string | undefined;
  private readonly model: RemoteModel;
  private readonly events: IndexerEvents;
  private readonly queue: Found[];
  private readonly opening: { readonly picture: Found; readonly file: Promise<File> }[] = [];
  private readonly inWork: InWork[] = [];
  private stopped = false;
  private resume: () => void = () => {};
  private since = 0;
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

  /** Those that are being embedded are finished first. */
  pause(paused: boolean): void {
    this.paused = paused;
    this.problem = undefined;
    this.resume();
    this.events.onChange();
  }

  stop(): void {
    this.stopped = true;
    this.resume();
  }

  /** Resolves when all are done, or at `stop`. */
  async run(): Promise<void> {
    while (this.running) {
      if (this.paused) {
        await new Promise<void>((resolve) => {
          this.resume = resolve;
        });
        continue;
      }
      this.since = performance.now();
      try {
        await this.model.embedStream(
          () => this.next(),
          (results) => this.take(results),
        );
      } catch (error) {
        if (this.stopped) return;
        this.queue.unshift(...this.inWork.splice(0).map(({ picture }) => picture));
        this.pause(true);
        this.problem = sentence(error);
        this.events.onChange();
      }
    }
  }

  /** The next picture of the stream; none once there are no more for now. */
  private async next(): Promise<File | undefined> {
    while (!this.paused && !this.stopped) {
      for (const picture of this.queue.splice(0, AHEAD - this.opening.length)) {
        const file = picture.open();
        file.catch(() => {}); // told where it is awaited
        this.opening.push({ picture, file });
      }
      const first = this.opening.shift();
      if (!first) return undefined;
      const { picture } = first;
      try {
        const file = await first.file;
        this.inWork.push({ picture, thumbnail: makeThumbnail(file) });
        return file;
      } catch (error) {
        this.fail(picture, sentence(error));
        this.events.onChange();
      }
    }
    return undefined;
  }

  /** What has become of the pictures that were given first: an embedding each, or in words what is wrong. */
  private async take(results: readonly (Float32Array | string)[]): Promise<void> {
    if (this.stopped) return;
    const entries: Entry[] = [];
    for (const [index, { picture, thumbnail }] of this.inWork.splice(0, results.length).entries()) {
      const embedding = results[index];
      const { id, folder, path } = picture;
      if (typeof embedding === "string") this.fail(picture, embedding);
      else entries.push({ picture: { id, folder, path }, embedding, thumbnail: await thumbnail });
    }
    if (this.stopped) return;
    await this.events.onEmbedded(entries);
    this.done += entries.length;
    const now = performance.now();
    this.working += now - this.since;
    this.since = now;
    this.events.onChange();
  }

  private fail(picture: Found, message: string): void {
    this.events.onFailed(picture, message);
    this.done++;
  }
}
