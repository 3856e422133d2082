// A thread as a file of its own, for browsers and bundlers.
import { CONTROL, type ToThread, thread } from "./thread.ts";

const scope = globalThis as unknown as Worker;
thread(
  (listener) => scope.addEventListener("message", ({ data }: MessageEvent<ToThread>) => listener(data)),
  (message) => scope.postMessage(message),
  CONTROL,
);
