// Tries pools in a page (`trial` is a global there), and in dedicated and service workers, to which a message is a call.
import { browserThreads } from "../../../src/browser/threads.ts";
import { type ToyModules, type Trial, trial } from "./trial.ts";

declare global {
  var trials: (toys: ToyModules, threads: readonly number[]) => Promise<Trial[]>;
}

globalThis.trials = async (toys, threads) => {
  const found: Trial[] = [];
  for (const count of threads) found.push(await trial(browserThreads(), count, toys));
  return found;
};

if (!("document" in globalThis)) {
  globalThis.addEventListener("message", (event) => {
    const { data, ports } = event as MessageEvent<Parameters<typeof trials>>;
    globalThis.trials(...data).then(
      (found) => ports[0].postMessage(found),
      (error) => ports[0].postMessage(String(error)),
    );
  });
}
