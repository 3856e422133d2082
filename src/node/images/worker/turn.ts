import { workerData } from "node:worker_threads";
import type { Turn } from "../thread.ts";

const turn = workerData as Turn | null;

/**
 * Runs work while no other thread does such work: it waits for its turn, and gives it back. A thread that dies with it gives it back
 * through who started it.
 */
export async function alone<T>(work: () => Promise<T>): Promise<T> {
  if (!turn) return work();
  const { holder, thread } = turn;
  for (let held = -1; held !== 0; ) {
    held = Atomics.compareExchange(holder, 0, 0, thread);
    if (held !== 0) Atomics.wait(holder, 0, held);
  }
  try {
    return await work();
  } finally {
    Atomics.store(holder, 0, 0);
    Atomics.notify(holder, 0);
  }
}
