// Tries pools in a page (`trial` is a global there), and in dedicated and service workers, to which a message is a call.
import { browserThreads } from "../../../src/browser/threads.ts";
import { Memory } from "../../../src/tensor/wasm/memory.ts";
import { Pool } from "../../../src/tensor/wasm/pool.ts";
import { type ToyModules, type Trial, trial } from "./trial.ts";

declare global {
  var trials: (toys: ToyModules, threads: readonly number[]) => Promise<Trial[]>;
  var death: (toys: ToyModules, atWork: boolean) => Promise<string[]>;
}

/** Ends a worker behind the pool's back; the codes of the error that the pool tells and that its run rejects with. */
globalThis.death = async (toys, atWork) => {
  const workers: Worker[] = [];
  const Original = globalThis.Worker;
  globalThis.Worker = class extends Original {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      workers.push(this);
    }
  };
  const memory = new Memory({ shared: true });
  let tell: (code: string) => void;
  const told = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const pool = await Pool.open({
    ...{ memory, runtime: browserThreads(), threads: 2 },
    onLost: (error) => tell(error.code),
  });
  globalThis.Worker = Original;
  const params = memory.alloc(4);
  memory.intsAt(params, 1)[0] = 500_000;
  const kernel = await pool.load(new Uint8Array(toys.spin.true));
  const list = pool.prepare([{ kernel, params, chunks: 40_000 }], 4);
  const run = () =>
    pool.run(list).then(
      () => "no error",
      (error) => error.code,
    );
  const running = atWork ? run() : undefined;
  if (!atWork) await pool.run(pool.prepare([{ kernel, params, chunks: 2 }], 4));
  await new Promise((resolve) => setTimeout(resolve, 20));
  workers.at(-1)!.terminate();
  return [await told, await (running ?? run())];
};

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
