// Tries pools in the runtime that this runs in: `trial-node.mjs TOYS`, a JSON file. It is to end by itself, with a pool left open.
import { readFileSync } from "node:fs";
import { nodeThreads } from "../../../src/node/threads.ts";
import { compiled } from "../../../src/tensor/wasm/compile.ts";
import { Memory } from "../../../src/tensor/wasm/memory.ts";
import { Pool } from "../../../src/tensor/wasm/pool.ts";
import { trial } from "./trial.ts";

const toys = JSON.parse(readFileSync(process.argv.at(-1)!, "utf8"));
const trials = [];
for (const threads of [1, 2, 4]) trials.push(await trial(nodeThreads(), threads, toys));
console.log(JSON.stringify(trials));

const memory = new Memory({ shared: true });
const pool = await Pool.open({ memory, runtime: nodeThreads(), threads: 2 });
const kernel = await pool.load(compiled(new Uint8Array(toys.empty.true)));
await pool.run(pool.prepare([{ kernel, params: 0, chunks: 1 }]));
