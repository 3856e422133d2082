// A thread of the wasm backend as a file of its own, which browsers and bundlers start as a worker.
import { CONTROL, thread } from "../tensor/wasm/thread.ts";
import { receive } from "./receive.ts";

thread(receive, (message) => (globalThis as unknown as Worker).postMessage(message), CONTROL);
