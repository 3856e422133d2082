/**
 * Words of the control block that the host and all threads share, from its start. Tickets number the chunks of all runs since the
 * pool was opened, and wrap around. What changes with every chunk has a cache line of its own.
 */
export const CONTROL = {
  /** The next ticket to take, at most OPEN. */
  next: 0,
  /** Tickets below this may be taken: those of the step at hand. It grows by a step's chunks once all before are done. */
  open: 16,
  /** Chunks that are done. */
  done: 32,
  /** Threads that sleep until `open` changes. */
  sleeping: 48,
  /** Kernels that a thread must have before it takes a ticket; below 0 it is to end. */
  kernels: 49,
  /** One of STOP. */
  stop: 50,
  /** Pointers of the step at hand and of the end of its list. */
  step: 51,
  end: 52,
  /** The first ticket of the step at hand. */
  start: 53,
  /** Pointer of the threads' scratch areas, and the bytes of one. */
  scratch: 54,
  stride: 55,
  words: 64,
} as const;

/** Whether a run goes on, was aborted, or has failed in a kernel. */
export const STOP = { no: 0, aborted: 1, failed: 2 } as const;

/** A step in memory: words for its kernel, the pointer of its params, its chunks, and one for alignment. */
export const STEP_WORDS = 4;

/** What a thread is told: first how to begin, then every kernel in order. */
export type ToThread =
  | { readonly memory: WebAssembly.Memory; readonly control: number; readonly index: number }
  | { readonly module: WebAssembly.Module };

/** What a thread tells: it has begun, the run is over, or what went wrong and ended it. */
export type FromThread = "ready" | "done" | { readonly failed: string };

/** A kernel: does one chunk of what the block at `params` says, with `scratch` bytes of its thread's own. */
export type Kernel = (params: number, chunk: number, scratch: number) => void;

/**
 * The body of a thread. It takes chunks of the step at hand until all are taken, and opens the next step when it did the last
 * chunk of one, so that no step waits for a thread that has no part in it. It returns to its event loop only for another kernel.
 *
 * `threadText` makes a script of it, so it uses nothing from outside itself.
 */
export function thread(
  receive: (listener: (message: ToThread) => void) => void,
  send: (message: FromThread) => void,
  at: typeof CONTROL,
): void {
  const spins = 2000;
  const stepBytes = 16;
  const kernels: Kernel[] = [];
  let memory: WebAssembly.Memory;
  let index: number;
  let control: Int32Array;
  let words: Int32Array;

  receive((message) => {
    try {
      if ("memory" in message) {
        ({ memory, index } = message);
        words = new Int32Array(memory.buffer);
        control = new Int32Array(memory.buffer, message.control, at.words);
        send("ready");
      } else {
        const { exports } = new WebAssembly.Instance(message.module, { env: { memory } });
        kernels.push(exports.run as Kernel);
      }
      work();
    } catch (error) {
      send({ failed: String(error) });
    }
  });

  function work(): void {
    for (;;) {
      // In this order: `open` never falls, so a ticket below it that can still be taken belongs to the step at hand, whose kernels
      // were told of before it was opened.
      const ticket = Atomics.load(control, at.next);
      const open = Atomics.load(control, at.open);
      if (Atomics.load(control, at.kernels) !== kernels.length) return;
      if (ticket === open) rest(open);
      else if (Atomics.compareExchange(control, at.next, ticket, (ticket + 1) | 0) === ticket) {
        const failure = run((ticket - control[at.start]) | 0);
        if (((Atomics.add(control, at.done, 1) + 1) | 0) === open) advance(open);
        if (failure) throw failure;
      }
    }
  }

  function rest(open: number): void {
    for (let i = 0; i < spins; i++) if (Atomics.load(control, at.open) !== open) return;
    Atomics.add(control, at.sleeping, 1);
    Atomics.wait(control, at.open, open);
    Atomics.sub(control, at.sleeping, 1);
  }

  /** Returns what the kernel threw. */
  function run(chunk: number): unknown {
    if (Atomics.load(control, at.stop) !== 0) return undefined;
    const step = control[at.step] >>> 2;
    try {
      kernels[load(step)](load(step + 1), chunk, (control[at.scratch] + index * control[at.stride]) | 0);
      return undefined;
    } catch (error) {
      Atomics.store(control, at.stop, 2);
      return error ?? "nothing";
    }
  }

  /** Opens the next step, or tells that there is none. */
  function advance(open: number): void {
    const step = (control[at.step] + stepBytes) | 0;
    if (step === control[at.end] || Atomics.load(control, at.stop) !== 0) {
      send("done");
      return;
    }
    const chunks = load((step >>> 2) + 2);
    control[at.step] = step;
    control[at.start] = open;
    Atomics.store(control, at.open, (open + chunks) | 0);
    if (chunks > 1 && Atomics.load(control, at.sleeping) > 0) Atomics.notify(control, at.open, chunks - 1);
  }

  function load(word: number): number {
    while (word >= words.length) words = new Int32Array(memory.buffer);
    return words[word];
  }
}

/** A script that is a thread; `receive` and `send` are the text of what the runtime has for these. */
export function threadText(receive: string, send: string): string {
  // Some compilers wrap functions in calls of a helper that keeps their names.
  return `const __name = (f) => f;\n(${thread})(${receive}, ${send}, ${JSON.stringify(CONTROL)});`;
}
