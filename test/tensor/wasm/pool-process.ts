// A process that waits for nothing but a run of its pool, and disposes of nothing.
import { nodeThreads } from "../../../src/node/threads.ts";
import { compiled } from "../../../src/tensor/wasm/compile.ts";
import { Memory } from "../../../src/tensor/wasm/memory.ts";
import { Pool } from "../../../src/tensor/wasm/pool.ts";
import { toy } from "./toys.ts";

const memory = new Memory({ shared: true });
const pool = await Pool.open({ memory, runtime: nodeThreads(), threads: 2 });
const kernel = await pool.load(compiled(await toy("spin", true)));
const params = memory.alloc(4);
memory.intsAt(params, 1)[0] = 500_000;
pool.run(pool.prepare([{ kernel, params, chunks: 500 }], 4)).then(() => console.log("over"));
