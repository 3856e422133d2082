// A service in a process of its own, and the rate of its model alone. Prints a line of JSON (`Ready`) when it listens; for
// each line "image" or "text" on stdin it measures that rate and prints it (`Alone`), for each "cpu" the processor time that
// it has used, in seconds (`Used`). It ends with its stdin.
// usage: child.ts MODEL BACKEND DTYPE|auto THREADS|0 SECONDS
import { createInterface } from "node:readline";
import { Siglip } from "../../src/node.ts";
import { listen } from "../../src/serve/listen.ts";
import { createService } from "../../src/serve/service.ts";
import type { BackendName } from "../../src/siglip/backends.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import { BODY, pictures, TEXTS } from "./inputs.ts";

/** The first line. */
export interface Ready {
  readonly url: string;
  readonly dim: number;
  readonly device: Siglip["device"];
  /** What the first picture and the first text are alone, by the model itself. */
  readonly wanted: { readonly image: readonly number[]; readonly text: readonly number[] };
}

/** After "image" or "text": items a second, and seconds of processor time an item. */
export interface Alone {
  readonly rate: number;
  readonly cpu: number;
}

/** After "cpu". */
export interface Used {
  readonly cpu: number;
}

const [name, backend, dtype, threads, seconds] = process.argv.slice(2);
const model = await Siglip.load(name, {
  backend: backend as "auto" | BackendName,
  dtype: dtype === "auto" ? undefined : (dtype as WeightDType),
  threads: Number(threads) || undefined,
});
const files = pictures();

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Items a second of one endless stream, which decodes and computes at the same time, in full batches. */
async function alone(kind: "image" | "text"): Promise<Alone> {
  let until = Number.POSITIVE_INFINITY;
  function* items<Item>(list: readonly Item[]): Generator<Item> {
    for (let index = 0; performance.now() < until; index++) yield list[index % list.length];
  }
  const batches = kind === "text" ? model.embedStream(items(TEXTS), { kind }) : model.embedStream(items(files));
  let [began, used, done] = [0, 0, 0];
  for await (const { items } of batches) {
    // The first batch compiles and warms up.
    if (began === 0) {
      [began, used] = [performance.now(), cpu()];
      until = began + 1000 * Number(seconds);
    } else {
      done += items.length;
    }
  }
  return { rate: (1000 * done) / (performance.now() - began), cpu: (cpu() - used) / done };
}

const wanted = {
  image: Array.from((await model.embedImages([files[0]])).data),
  text: Array.from((await model.embedTexts([TEXTS[0]])).data),
};
const service = createService(model, {
  ...{ name: "bench", maxWait: 5, maxQueue: 2048, maxItems: 1024, maxBody: BODY, bodyTime: 60_000 },
  ...{ maxHeld: 8 * BODY, allowUrls: false, onFault: console.error },
});
const { url } = await listen((request) => service.fetch(request), {
  ...{ port: 0, host: "127.0.0.1", keepAlive: 60_000, bodyTime: 60_000 },
});
const tell = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
tell({ url, dim: model.dim, device: model.device, wanted } satisfies Ready);
for await (const line of createInterface({ input: process.stdin })) {
  tell(line === "cpu" ? ({ cpu: cpu() } satisfies Used) : await alone(line as "image" | "text"));
}
process.exit(0);
