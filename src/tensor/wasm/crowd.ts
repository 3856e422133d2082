import type { Compiled } from "./compile.ts";
import type { Memory } from "./memory.ts";
import type { Prepared } from "./pool.ts";
import { CONTROL, type FromThread, STOP, type ToThread, threadText } from "./thread.ts";

/** A worker that runs `thread`. */
export interface Thread {
  post(message: ToThread): void;
  /** Whether the process may not end by itself while the thread lives. */
  hold(on: boolean): void;
  end(): void;
}

/**
 * Starts a thread. `tell` is called with what it says, `died` when it ends by itself, or does not even start, with the reason;
 * `text` makes its script, for runtimes that start threads from text.
 */
export type Spawn = (
  tell: (message: FromThread) => void,
  died: (why: string) => void,
  text: typeof threadText,
) => Thread;

/** What a runtime has for threads. */
export interface Threads {
  /** The cores that the machine reports. */
  readonly cores: number;
  /** Ways to start a thread, the best first, or why there is none. */
  readonly ways: readonly Spawn[] | string;
}

/** Those who compute. */
export interface Crew {
  readonly size: number;
  /** Why it is smaller than was wanted. */
  readonly reason?: string;
  /** Takes the next kernel. */
  add(kernel: Compiled): void;
  /**
   * Resolves when all steps are done, or skipped after `stop`, and nobody is at work any more. Where a kernel fails it rejects, or
   * never settles and `onLost` is told.
   */
  run(list: Prepared, scratch: { readonly pointer: number; readonly bytes: number }): Promise<void>;
  stop(): void;
  end(): void;
}

/** How long threads may take to start, in milliseconds. */
const PATIENCE = 10_000;

/** Threads of which the caller's own is none: it starts a list and hears that it is over. */
export class Crowd implements Crew {
  private readonly memory: Memory;
  private readonly control: Int32Array;
  private readonly threads: Thread[] = [];
  private kernels = 0;
  private done: (() => void) | undefined;
  private ended = false;

  private constructor(memory: Memory, pointer: number) {
    this.memory = memory;
    this.control = memory.intsAt(pointer, CONTROL.words).fill(0);
  }

  /**
   * Starts threads in the first way in which all of them start; rejects where there is none. `onLost` is called with the reason
   * when one dies or fails later.
   */
  static async open(memory: Memory, { ways }: Threads, count: number, onLost: (why: string) => void): Promise<Crowd> {
    if (typeof ways === "string") throw new Error(ways);
    if (!memory.shared) throw new Error("the memory is not shared");
    let reason: unknown;
    for (const spawn of ways) {
      const pointer = memory.alloc(4 * CONTROL.words);
      const crowd = new Crowd(memory, pointer);
      try {
        await crowd.start(spawn, count, pointer, onLost);
        return crowd;
      } catch (error) {
        crowd.end();
        reason = error;
      }
    }
    throw reason;
  }

  get size(): number {
    return this.threads.length;
  }

  add(module: Compiled): void {
    for (const thread of this.threads) thread.post({ module });
    this.kernels++;
    // They leave their loops for it now, or when the next list starts.
    Atomics.store(this.control, CONTROL.kernels, this.kernels);
    Atomics.notify(this.control, CONTROL.open);
  }

  run({ pointer, end }: Prepared, scratch: { readonly pointer: number; readonly bytes: number }): Promise<void> {
    const { control } = this;
    const chunks = this.memory.intsAt(pointer, 3)[2];
    const open = Atomics.load(control, CONTROL.open);
    control[CONTROL.step] = pointer;
    control[CONTROL.end] = end;
    control[CONTROL.start] = open;
    control[CONTROL.scratch] = scratch.pointer;
    control[CONTROL.stride] = scratch.bytes;
    Atomics.store(control, CONTROL.stop, STOP.no);
    return new Promise((resolve) => {
      this.threads[0].hold(true);
      this.done = resolve;
      Atomics.store(control, CONTROL.open, open + chunks);
      Atomics.notify(control, CONTROL.open, chunks);
    });
  }

  stop(): void {
    Atomics.compareExchange(this.control, CONTROL.stop, STOP.no, STOP.aborted);
  }

  end(): void {
    this.ended = true;
    // Some runtimes end only threads that are in their event loops.
    Atomics.store(this.control, CONTROL.stop, STOP.aborted);
    Atomics.store(this.control, CONTROL.kernels, -1);
    Atomics.notify(this.control, CONTROL.open);
    for (const thread of this.threads) thread.end();
  }

  private async start(spawn: Spawn, count: number, control: number, onLost: (why: string) => void): Promise<void> {
    const { memory } = this.memory;
    let late: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        late = setTimeout(() => reject(new Error(`no thread within ${PATIENCE / 1000} s`)), PATIENCE);
        let missing = count;
        const died = (why: string) => {
          if (this.ended) return;
          reject(new Error(why));
          onLost(why);
        };
        const tell = (message: FromThread) => {
          if (message === "done") this.finish();
          else if (message !== "ready") died(message.failed);
          else if (--missing === 0) resolve();
        };
        for (let index = 0; index < count; index++) {
          const thread = spawn(tell, died, threadText);
          this.threads.push(thread);
          thread.post({ memory, control, index });
        }
      });
    } finally {
      clearTimeout(late);
    }
    for (const thread of this.threads) thread.hold(false);
  }

  private finish(): void {
    // A kernel's failure is told by the thread that met it.
    if (this.control[CONTROL.stop] === STOP.failed) return;
    this.threads[0].hold(false);
    this.done?.();
  }
}
