import type { Spawn, Threads } from "../tensor/wasm/crowd.ts";
import { type Life, receive } from "./receive.ts";

/** From the package's file, in the form that bundlers know. */
const fromFile: Spawn = (tell, died) =>
  connect(new Worker(new URL("./thread.js", import.meta.url), { type: "module" }), tell, died);

/** From text, for bundlers that leave the file behind. */
const fromText: Spawn = (tell, died, text) => {
  const script = text(String(receive), "(message) => postMessage(message)");
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  try {
    return connect(new Worker(url), tell, died);
  } finally {
    // The worker has taken its script by then.
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
};

function connect(worker: Worker, tell: Parameters<Spawn>[0], died: Parameters<Spawn>[1]): ReturnType<Spawn> {
  let lives = false;
  const life: Life = { lock: `siglip thread ${crypto.randomUUID()}` };
  worker.postMessage(life);
  worker.onmessage = ({ data }) => {
    // It holds its lock before it says anything.
    if (!lives) navigator.locks?.request(life.lock, () => died("a worker that has ended")).catch(() => {});
    lives = true;
    tell(data);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    died(event.message || "a worker that does not start");
  };
  return {
    post: (message) => worker.postMessage(message),
    hold: () => {},
    end: () => worker.terminate(),
  };
}

/** Threads of pages and workers: only a page that is isolated from other sites may share memory with them. */
export function browserThreads(): Threads {
  const why =
    typeof Worker === "undefined"
      ? "there are no workers here"
      : globalThis.crossOriginIsolated
        ? undefined
        : "the page is not cross-origin isolated (see its COOP and COEP headers)";
  return { cores: globalThis.navigator?.hardwareConcurrency ?? 1, ways: why ?? [fromFile, fromText] };
}
