// The application in a page, and in a worker that the page starts.
import { score } from "./score.js";

globalThis.score = score;
globalThis.scoreInWorker = (...call) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => ("error" in data ? reject(new Error(data.error)) : resolve(data));
    worker.onerror = ({ message }) => reject(new Error(`The worker did not start: ${message}`));
    worker.postMessage(call);
  });
