import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, it } from "vitest";
import { nodeThreads } from "../../../src/node/threads.ts";
import { compiled } from "../../../src/tensor/wasm/compile.ts";
import type { Spawn, Threads } from "../../../src/tensor/wasm/crowd.ts";
import { Memory } from "../../../src/tensor/wasm/memory.ts";
import { Pool, type PoolOptions, type Prepared } from "../../../src/tensor/wasm/pool.ts";
import { STEP_WORDS, STOP, threadText } from "../../../src/tensor/wasm/thread.ts";
import { toy } from "./toys.ts";

const open: Pool[] = [];
afterEach(() => {
  for (const pool of open.splice(0)) pool.dispose();
});

async function openPool(threads: number, options: Partial<PoolOptions> = {}) {
  const memory = new Memory({ shared: threads > 1 });
  const pool = await Pool.open({ memory, runtime: nodeThreads(), threads, ...options });
  open.push(pool);
  return { memory, pool };
}
type Opened = Awaited<ReturnType<typeof openPool>>;

const load = async ({ memory, pool }: Opened, name: Parameters<typeof toy>[0]) =>
  pool.load(compiled(await toy(name, memory.shared)));

/** A block with such words. */
function block({ memory }: Opened, ...words: number[]): number {
  const pointer = memory.alloc(4 * words.length);
  memory.intsAt(pointer, words.length).set(words);
  return pointer;
}

/** A list of one step that takes about as many milliseconds on one thread. */
async function slow(opened: Opened, milliseconds: number): Promise<Prepared> {
  const params = block(opened, 500_000);
  return opened.pool.prepare([{ kernel: await load(opened, "spin"), params, chunks: 4 * milliseconds }], 4);
}

/** Steps of which each reads what all chunks of the one before have written, and what comes out of them. */
async function mixed(opened: Opened, chunkCounts: readonly number[]): Promise<() => Promise<number[]>> {
  const { memory, pool } = opened;
  const count = Math.max(...chunkCounts);
  const [input, output] = [memory.alloc(4 * count), memory.alloc(4 * count)];
  const kernel = await load(opened, "mix");
  const steps = chunkCounts.map((chunks, i) => {
    const params = i % 2 === 0 ? block(opened, input, output, count) : block(opened, output, input, count);
    return { kernel, params, chunks };
  });
  const list = pool.prepare(steps);
  return async () => {
    memory.intsAt(output, count).fill(0);
    memory.intsAt(input, count).set(Array.from({ length: count }, (_, i) => i));
    await pool.run(list);
    return [...memory.intsAt(input, count), ...memory.intsAt(output, count)];
  };
}

describe.each([1, 2, 4])("a pool of %d threads", (threads) => {
  it("runs steps in order and gives the same again and again", async () => {
    const opened = await openPool(threads);
    expect([opened.pool.threads, opened.pool.alone]).toEqual([threads, undefined]);
    const chunkCounts = Array.from({ length: 60 }, (_, i) => [1, 700, 3, 0, 64, 17][i % 6]);
    const run = await mixed(opened, chunkCounts);
    let [from, to] = [Array.from({ length: 700 }, (_, i) => i), new Array(700).fill(0)];
    for (const [i, chunks] of chunkCounts.entries()) {
      if (i === 0) expect(i % 2).toBe(0);
      for (let c = 0; c < chunks; c++) to[c] = (c + Math.imul(3, from[(7 * c + 1) % 700])) | 0;
      [from, to] = [to, from];
    }
    for (let i = 0; i < 20; i++) expect(await run()).toEqual([...from, ...to]);
  });

  it("gives every thread scratch of its own, and more where a list wants more", async () => {
    const opened = await openPool(threads);
    const { memory, pool } = opened;
    const output = memory.alloc(4 * 64);
    const kernel = await load(opened, "own");
    const steps = [{ kernel, params: block(opened, output), chunks: 64 }];
    await pool.run(pool.prepare([{ kernel: await load(opened, "empty"), params: 0, chunks: 1 }], 100));
    const used = memory.bytes;
    await pool.run(pool.prepare(steps, 4096));
    expect([...memory.intsAt(output, 64)]).toEqual(new Array(64).fill(1));
    expect(memory.bytes - used).toBe(threads * (4096 - 128) + 64);
  });

  it("takes its turns, an empty list among them", async () => {
    const opened = await openPool(threads);
    const list = await slow(opened, 10);
    const order: number[] = [];
    const lists = [list, opened.pool.prepare([]), list];
    await Promise.all(lists.map(async (list, i) => order.push((await opened.pool.run(list)) ?? i)));
    expect(order).toEqual([0, 1, 2]);
  });

  it("stops within 100 ms of an abort, in its turn or before it, and runs the next list", { retry: 3 }, async () => {
    const opened = await openPool(threads);
    const list = await slow(opened, 4000);
    const run = await mixed(opened, [50]);
    const [first, second] = [new AbortController(), new AbortController()];
    const failures = [first, second].map((one) => opened.pool.run(list, one.signal).catch((reason) => reason));
    const third = run();
    third.catch(() => {}); // told where it is awaited, if it comes to that
    await sleep(50);
    second.abort("second");
    expect(await failures[1]).toBe("second");
    const start = performance.now();
    first.abort("first");
    expect(await failures[0]).toBe("first");
    expect(performance.now() - start).toBeLessThan(100);
    expect((await third).length).toBe(100);
    await expect(opened.pool.run(list, AbortSignal.abort("before"))).rejects.toBe("before");
  });

  it("leaves the event loop free", { retry: 3 }, async () => {
    const opened = await openPool(threads);
    const list = await slow(opened, 400);
    // The shorter of time on the clock and time of the processors: on a busy machine other processes make gaps, too.
    const clocks = () => [performance.now(), process.cpuUsage().user / 1000];
    let last = clocks();
    const gaps: number[] = [];
    const timer = setInterval(() => {
      const now = clocks();
      gaps.push(Math.min(now[0] - last[0], now[1] - last[1]));
      last = now;
    }, 1);
    await opened.pool.run(list);
    clearInterval(timer);
    console.log(`${threads} threads: ${gaps.length} gaps, the longest ${Math.max(...gaps).toFixed(1)} ms`);
    expect(gaps.length).toBeGreaterThan(2);
    expect(Math.max(...gaps)).toBeLessThan(50);
  });

  it("rejects what runs and what waits when it is disposed", async () => {
    const opened = await openPool(threads);
    const list = await slow(opened, 4000);
    const runs = [opened.pool.run(list), opened.pool.run(list)];
    await sleep(20);
    opened.pool.dispose();
    for (const run of [...runs, opened.pool.run(list), load(opened, "empty")]) {
      await expect(run).rejects.toMatchObject({ code: "disposed" });
    }
    expect(opened.pool.lost).toBe(false);
  });

  it("is lost when a kernel fails", async () => {
    const opened = await openPool(threads);
    const kernel = await load(opened, "trap");
    const list = opened.pool.prepare([{ kernel, params: 0, chunks: 100 }]);
    const runs = [opened.pool.run(list), opened.pool.run(list)];
    for (const run of runs)
      await expect(run).rejects.toThrow(/^wasm: wanted .*, found RuntimeError: unreachable; .*\.$/);
    await expect(opened.pool.run(list)).rejects.toMatchObject({ code: "device-lost" });
    expect(opened.pool.lost).toBe(true);
  });
});

/** Node's threads, with one way more to start them before the usual or none but that. */
function runtime(...ways: (Spawn | "node")[]): Threads {
  const [node] = nodeThreads().ways as Spawn[];
  return { cores: 2, ways: ways.map((way) => (way === "node" ? node : way)) };
}

describe("threads", () => {
  it("that die make the pool lost, at work or at rest", async () => {
    for (const atWork of [true, false]) {
      const killed: (() => void)[] = [];
      const [node] = nodeThreads().ways as Spawn[];
      const spawn: Spawn = (...told) => {
        const thread = node(...told);
        killed.push(() => thread.end());
        return thread;
      };
      const opened = await openPool(2, { runtime: runtime(spawn) });
      const list = await slow(opened, 2000);
      const run = atWork ? opened.pool.run(list) : undefined;
      await sleep(20);
      killed[1]();
      if (!atWork) await expect.poll(() => opened.pool.lost).toBe(true);
      await expect(run ?? opened.pool.run(list)).rejects.toMatchObject({ code: "device-lost" });
      expect(opened.pool.lost).toBe(true);
    }
  });

  it("start in the first way that works, and are done without where none does", async () => {
    const throws: Spawn = () => {
      throw new Error("forbidden");
    };
    const dies: Spawn = (_, died) => {
      setTimeout(() => died("no such file"), 5);
      return { post() {}, hold() {}, end() {} };
    };
    const second = await openPool(2, { runtime: runtime(dies, "node") });
    expect([second.pool.threads, second.pool.alone]).toEqual([2, undefined]);
    for (const [ways, reason] of [
      [[throws, dies], "no such file"],
      [[throws], "forbidden"],
      ["nothing to share", "nothing to share"],
    ] as const) {
      const memory = new Memory({ shared: true });
      const opened = await openPool(2, { memory, runtime: { cores: 2, ways } });
      expect([opened.pool.threads, opened.pool.alone]).toEqual([1, reason]);
      expect((await (await mixed({ ...opened, memory }, [5, 5]))()).length).toBe(10);
      expect([memory.bytes > 0, opened.pool.lost]).toEqual([true, false]);
    }
  });

  it("are as many as asked for, or as there are cores", async () => {
    const { pool } = await openPool(2, { threads: undefined, runtime: { ...runtime("node"), cores: 3 } });
    expect(pool.threads).toBe(3);
    for (const threads of [0, 17, 1.5, Number.NaN]) {
      await expect(openPool(threads)).rejects.toThrow(/^threads: wanted a whole number from 1 to 16, found/);
    }
  });

  it("refuse what is no kernel", async () => {
    const { pool } = await openPool(1);
    await expect(pool.load(compiled(new Uint8Array(3)))).rejects.toMatchObject({ code: "no-device" });
  });

  it("have a script that needs nothing from outside", () => {
    expect([STEP_WORDS, STOP]).toEqual([4, { no: 0, aborted: 1, failed: 2 }]);
    const heard: unknown[] = [];
    const globals = { heard, memory: new Memory({ shared: true }).memory, module: {} };
    const receive = "(listener) => { listener({ memory, control: 64, index: 0 }); listener({ module }); }";
    runInNewContext(threadText(receive, "(message) => heard.push(message)"), {
      ...globals,
      // It never finds as many kernels as it has, so that it does not wait.
      Atomics: { load: () => -1 },
    });
    expect(heard).toEqual(["ready", { failed: expect.stringContaining("TypeError: WebAssembly.Instance()") }]);
  });

  it("let a process end by itself, but not before its run is over", () => {
    const script = fileURLToPath(new URL("pool-process.ts", import.meta.url));
    const { stdout, stderr, status } = spawnSync(process.execPath, ["--import", "tsx", script], {
      encoding: "utf8",
      timeout: 60_000,
    });
    expect([stderr, stdout, status]).toEqual(["", "over\n", 0]);
  });
});

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
