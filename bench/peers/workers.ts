import { resolveObjectURL } from "node:buffer";
import { Worker as NodeWorker } from "node:worker_threads";

/** What a page's worker finds in its scope. */
const SCOPE = `const { parentPort } = require("node:worker_threads");
globalThis.self = globalThis;
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on("message", (data) => self.onmessage({ data }));
`;

/** As much of a page's `Worker` as an engine needs that starts one from a blob of plain script. */
class BlobWorker {
  onmessage: ((event: { data: unknown }) => void) | undefined;
  onerror: ((error: Error) => void) | undefined;
  private readonly started: Promise<NodeWorker>;

  constructor(url: string) {
    // Now: whoever made the URL may revoke it before the text is read.
    const blob = resolveObjectURL(url)!;
    this.started = blob.text().then((text) => {
      const worker = new NodeWorker(SCOPE + text, { eval: true, execArgv: [] });
      worker.on("message", (data) => this.onmessage?.({ data }));
      worker.on("error", (error) => this.onerror?.(error as Error));
      return worker;
    });
  }

  postMessage(message: unknown): void {
    void this.started.then((worker) => worker.postMessage(message));
  }
}

/** Gives an engine that was written for pages a global `Worker`, and a `navigator` of so many cores. */
export function giveWorkers(threads: number): void {
  const navigator = { hardwareConcurrency: threads, userAgent: "Node" };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
  Object.defineProperty(globalThis, "Worker", { value: BlobWorker, configurable: true });
}
