/** How long work may keep the thread at a time, in milliseconds: below a frame. */
const SLICE = 12;

/** Long work in slices, between which the event loop gets its turn, so that a page stays alive and an abort is heard. */
export class Slice {
  private readonly signal: AbortSignal | undefined;
  private began = performance.now();

  constructor(signal?: AbortSignal) {
    this.signal = signal;
  }

  /** Whether the present slice has lasted long enough. */
  get over(): boolean {
    return performance.now() - this.began >= SLICE;
  }

  /** Gives way. Rejects with the signal's reason once it is aborted. */
  async end(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    this.signal?.throwIfAborted();
    this.began = performance.now();
  }
}
