// What a pool is tried for in every runtime, in one call that answers with plain data.

import { compiled } from "../../../src/tensor/wasm/compile.ts";
import type { Spawn, Threads } from "../../../src/tensor/wasm/crowd.ts";
import { Memory } from "../../../src/tensor/wasm/memory.ts";
import { Pool } from "../../../src/tensor/wasm/pool.ts";

/** The toys' modules, for shared memory and not: `toyModules()` as JSON. */
export type ToyModules = Readonly<
  Record<"mix" | "spin" | "empty" | "trap", Readonly<Record<"true" | "false", number[]>>>
>;

export interface Trial {
  readonly threads: number;
  readonly alone?: string;
  /** Of what 40 steps of 500 chunks made, which each read what other chunks wrote. */
  readonly sum: number;
  /** Whether the same list gave the same again, after a list was aborted and the memory had grown by 64 MiB. */
  readonly again: boolean;
  /** Milliseconds from an abort to the rejection. */
  readonly abort: number;
  /** The longest time between two timers while a list of 300 ms or more ran, in milliseconds. */
  readonly gap: number;
  /** The code of the error of a run that was disposed of, and of one whose kernel failed. */
  readonly codes: readonly string[];
  /** What was told of two threads of which one ended by itself: DEATHS. */
  readonly deaths: readonly string[];
  /** Until an empty run is over, in microseconds. */
  readonly latency: number;
}

/** The codes that a pool and its run give when a thread ends while it works, and the same while it rests. */
export const DEATHS = ["lost", "device-lost", "lost", "device-lost"];

export async function trial(runtime: Threads, threads: number, toys: ToyModules): Promise<Trial> {
  const shared = typeof runtime.ways !== "string";
  const open = async () => {
    const memory = new Memory({ shared });
    const pool = await Pool.open({ memory, runtime, threads });
    const load = (name: keyof ToyModules) => pool.load(compiled(new Uint8Array(toys[name][`${memory.shared}`])));
    return { memory, pool, load };
  };
  const { memory, pool, load } = await open();
  const [mix, spin, empty] = [await load("mix"), await load("spin"), await load("empty")];
  const block = (...words: number[]) => {
    const pointer = memory.alloc(4 * words.length);
    memory.intsAt(pointer, words.length).set(words);
    return pointer;
  };
  const count = 500;
  const [from, to] = [memory.alloc(4 * count), memory.alloc(4 * count)];
  const params = [block(from, to, count), block(to, from, count)];
  const mixing = Array.from({ length: 40 }, (_, i) => ({ kernel: mix, params: params[i % 2], chunks: count }));
  const list = pool.prepare(mixing);
  const once = async (list: ReturnType<Pool["prepare"]>) => {
    memory.intsAt(from, count).set(Array.from({ length: count }, (_, i) => i));
    await pool.run(list);
    return memory.intsAt(from, count).reduce((sum, value) => (31 * sum + value) | 0, 0);
  };
  const sum = await once(list);

  const slow = (milliseconds: number) => [{ kernel: spin, params: block(500_000), chunks: 4 * milliseconds }];
  const controller = new AbortController();
  const aborted = pool.run(pool.prepare(slow(10_000), 4), controller.signal).catch(() => performance.now());
  await new Promise((resolve) => setTimeout(resolve, 50));
  const start = performance.now();
  controller.abort();
  const abort = (await aborted)! - start;

  let [last, gap] = [performance.now(), 0];
  const timer = setInterval(() => {
    const now = performance.now();
    [last, gap] = [now, Math.max(gap, now - last)];
  }, 1);
  await pool.run(pool.prepare(slow(300 * threads), 4));
  clearInterval(timer);

  // The threads have to notice, and the list to lie, beyond what the memory was.
  memory.alloc(2 ** 26);
  const again = (await once(pool.prepare(mixing))) === sum && (await once(list)) === sum;

  const nothing = pool.prepare([{ kernel: empty, params: 0, chunks: 1 }]);
  const began = performance.now();
  for (let i = 0; i < 100; i++) await pool.run(nothing);
  const latency = (performance.now() - began) * 10;

  const failing = await open();
  const trap = failing.pool.prepare([{ kernel: await failing.load("trap"), params: 0, chunks: 9 }]);
  const runs = [failing.pool.run(trap), pool.run(pool.prepare(slow(10_000), 4))];
  const failures = runs.map((run) => run.then(String, (error) => error.code));
  await new Promise((resolve) => setTimeout(resolve, 20));
  pool.dispose();
  const codes = await Promise.all(failures);
  const deaths: string[] = [];
  if (pool.threads === 2) for (const atWork of [true, false]) deaths.push(...(await death(runtime, toys, atWork)));
  return { threads: pool.threads, alone: pool.alone, sum, again, abort, gap, codes, deaths, latency };
}

/** Ends a thread behind a pool's back: whether the pool is lost then, and the code that its run rejects with. */
async function death(runtime: Threads, toys: ToyModules, atWork: boolean): Promise<string[]> {
  let end: (() => void) | undefined;
  const mortal = (spawn: Spawn): Spawn => {
    return (...listeners) => {
      const thread = spawn(...listeners);
      end = () => thread.end();
      return thread;
    };
  };
  const memory = new Memory({ shared: true });
  const ways = (runtime.ways as readonly Spawn[]).map(mortal);
  const pool = await Pool.open({ memory, runtime: { ...runtime, ways }, threads: 2 });
  const kernel = await pool.load(compiled(new Uint8Array(toys.spin.true)));
  const params = memory.alloc(4);
  memory.intsAt(params, 1)[0] = 500_000;
  const run = (chunks: number) =>
    pool.run(pool.prepare([{ kernel, params, chunks }], 4)).then(
      () => "no error",
      ({ code }) => code,
    );
  const running = atWork ? run(40_000) : undefined;
  if (!atWork) await run(2);
  await new Promise((resolve) => setTimeout(resolve, 20));
  end!();
  while (!pool.lost) await new Promise((resolve) => setTimeout(resolve, 5));
  return ["lost", await (running ?? run(1))];
}
