import { immediate } from "../../support/immediate.ts";
import { type Compiled, now, start } from "./compile.ts";
import type { Crew } from "./crowd.ts";
import type { Memory } from "./memory.ts";
import type { Prepared } from "./pool.ts";
import { type Kernel, STEP_WORDS } from "./thread.ts";

/** The caller's thread gives way to its event loop after so many milliseconds, and the chunk at hand. */
const SLICE = 10;

/** The caller's own thread, which does everything in slices. */
export class Alone implements Crew {
  readonly size = 1;
  readonly reason: string | undefined;
  private readonly memory: Memory;
  private readonly kernels: Kernel[] = [];
  private stopped = false;

  constructor(memory: Memory, reason?: string) {
    this.memory = memory;
    this.reason = reason;
  }

  add(kernel: Compiled): void {
    this.kernels.push(start(kernel, this.memory.memory));
  }

  async run({ pointer, end }: Prepared, scratch: { readonly pointer: number }): Promise<void> {
    this.stopped = false;
    let start = now();
    for (let step = pointer; step < end; step += 4 * STEP_WORDS) {
      const [kernel, params, chunks] = this.memory.intsAt(step, STEP_WORDS);
      for (let chunk = 0; chunk < chunks; chunk++) {
        if (now() - start > SLICE) {
          await giveWay();
          start = now();
        }
        if (this.stopped) return;
        this.kernels[kernel](params, chunk, scratch.pointer);
      }
    }
  }

  stop(): void {
    this.stopped = true;
  }

  end(): void {
    this.stopped = true;
  }
}

/** Lets events, timers and frames have their turn, in less time than a timer takes; `scheduler.yield` would come back before timers. */
function giveWay(): Promise<void> {
  return new Promise((resolve) => {
    if (immediate) return immediate(() => resolve());
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
