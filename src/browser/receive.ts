import type { ToThread } from "../tensor/wasm/thread.ts";

/** What a thread of a page is told before all else: a lock to hold for as long as it lives. */
export interface Life {
  readonly lock: string;
}

/**
 * Hands a worker's messages on. Before that it takes the lock that it is told: browsers say nothing of a worker that ends by
 * itself, as it does when its memory is exhausted, but they give its locks to whoever waits for them.
 *
 * `threads.ts` makes text of it, so it uses nothing from outside itself.
 */
export function receive(listener: (message: ToThread) => void): void {
  let held: Promise<void> | undefined;
  addEventListener("message", async ({ data }: MessageEvent<ToThread | Life>) => {
    if ("lock" in data) {
      held = new Promise((go) => {
        const forever = new Promise(() => {});
        const taken = navigator.locks?.request(data.lock, () => {
          go();
          return forever;
        });
        // A page that may have no locks waits for none either.
        if (taken) taken.catch(() => go());
        else go();
      });
      return;
    }
    await held;
    listener(data);
  });
}
