// What the wasm backend's threads cost beside their work: `tsx bench/wasm/pool.ts [threads]`.
import { availableParallelism } from "node:os";
import { nodeThreads } from "../../src/node/threads.ts";
import { compiled } from "../../src/tensor/wasm/compile.ts";
import { Memory } from "../../src/tensor/wasm/memory.ts";
import { Pool } from "../../src/tensor/wasm/pool.ts";
import { toy } from "../../test/tensor/wasm/toys.ts";

const threads = Number(process.argv[2] ?? availableParallelism());
const memory = new Memory({ shared: threads > 1 });
const began = performance.now();
const pool = await Pool.open({ memory, runtime: nodeThreads(), threads });
const opened = performance.now() - began;
const [empty, spin] = [
  await pool.load(compiled(await toy("empty", memory.shared))),
  await pool.load(compiled(await toy("spin", memory.shared))),
];
const params = (turns: number) => {
  const pointer = memory.alloc(4);
  memory.intsAt(pointer, 1)[0] = turns;
  return pointer;
};

/** The median time of a run in microseconds, after some that do not count. */
async function time(steps: readonly { kernel: number; params: number; chunks: number }[], runs = 200, pause = 0) {
  const list = pool.prepare(steps, 64);
  const times: number[] = [];
  for (let i = 0; i < runs + 20; i++) {
    if (pause) await new Promise((resolve) => setTimeout(resolve, pause));
    const start = performance.now();
    await pool.run(list);
    times.push((performance.now() - start) * 1000);
  }
  pool.release(list);
  return times.slice(20).sort((a, b) => a - b)[runs >> 1];
}

const none = { kernel: empty, params: 0, chunks: 1 };
const one = await time([none]);
const rested = await time([none], 50, 5);
const many = (chunks: number, steps: number) => Array.from({ length: steps }, () => ({ ...none, chunks }));
const single = ((await time(many(1, 1000))) - one) / 999;
const spread = ((await time(many(threads, 1000))) - one) / 999;
// While one thread has a long chunk, the others fall asleep; then there is as much for each.
const long = { kernel: spin, params: params(400_000), chunks: 1 };
const repeat = (...steps: (typeof none)[]) => Array.from({ length: 20 }, () => steps).flat();
const work = (await time(repeat(long), 50)) / 20;
const waking = (await time(repeat(long, { ...long, chunks: threads }), 50)) / 20 - 2 * work;

const rows: [string, string][] = [
  [`open ${threads} threads`, `${opened.toFixed(1)} ms`],
  ["a run of one empty step, run after run", `${one.toFixed(1)} µs`],
  ["the same after 5 ms of rest", `${rested.toFixed(1)} µs`],
  ["an empty step of one chunk among others", `${single.toFixed(2)} µs`],
  ["an empty step of a chunk a thread among others", `${spread.toFixed(2)} µs`],
  [`steps of ${work.toFixed(0)} µs for one thread and for all in turn, over their work`, `${waking.toFixed(2)} µs`],
];
console.log(`Node ${process.version}, ${availableParallelism()} cores`);
for (const [name, value] of rows) console.log(`${name.padEnd(60)} ${value.padStart(10)}`);
pool.dispose();
