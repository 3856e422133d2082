// A thread of the wasm backend as a file of its own, which browsers and bundlers start as a worker.
import { CONTROL, type ToThread, thread } from "../tensor/wasm/thread.ts";

const scope = globalThis as unknown as Worker;
thread(
  (listener) => scope.addEventListener("message", ({ data }: MessageEvent<ToThread>) => listener(data)),
  (message) => scope.postMessage(message),
  CONTROL,
);
