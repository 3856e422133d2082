import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Spawn, Threads } from "../tensor/wasm/crowd.ts";

/** From text, because bundles, single executables and TypeScript sources have no file that a thread could be started from. */
const spawn: Spawn = (tell, died, text) => {
  const own = text('(listener) => parentPort.on("message", listener)', "(message) => parentPort.postMessage(message)");
  const script = `const { parentPort } = require("node:worker_threads");\n${own}`;
  // Not the loaders and inspectors of the process.
  const worker = new Worker(script, { eval: true, execArgv: [], name: "siglip" });
  worker.on("message", tell);
  worker.on("error", (error) => died(error.message));
  worker.on("exit", (code) => died(`a thread that ended with code ${code}`));
  return {
    post: (message) => worker.postMessage(message),
    hold: (on) => (on ? worker.ref() : worker.unref()),
    end: () => void worker.terminate(),
  };
};

/** Threads of Node, Deno and Bun. */
export function nodeThreads(): Threads {
  return { cores: availableParallelism(), ways: [spawn] };
}
