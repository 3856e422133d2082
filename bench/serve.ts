/**
 * `npm run bench:serve`: embeddings by HTTP from the service in a process of its own, one text or picture a request, by 1, 8
 * and 64 clients that each ask again as soon as they are answered (autocannon, in this process, whose work counts against
 * the service where cores are few). Beside them the rate of the service's own model alone, in full batches; the four take
 * turns, and each figure is the best of the rounds. The first answers are held against the model's own before anything is
 * timed.
 *
 *   --model demo   --backend auto   --dtype f16   --threads 1   --kind image,text   --seconds 5   --rounds 3
 *
 * Writes bench/results/serve-<processor>-node-<version>.json where both kinds were measured. Ends with 1 if an answer was
 * wrong or missing.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import autocannon from "autocannon";
import { buildSync } from "esbuild";
import { environment, type Result, writeResult } from "./lib/results.ts";
import { digits, duration, percent, table } from "./lib/statistics.ts";
import type { Alone, Ready, Used } from "./serve/child.ts";
import { pictures, TEXTS } from "./serve/inputs.ts";

/** One kind of item and number of clients. */
export interface ServeRow {
  readonly kind: Kind;
  readonly model: string;
  readonly backend: string;
  readonly dtype: string;
  readonly clients: number;
  /** Answers a second. */
  readonly rate: number;
  /** Items a second of the model alone. */
  readonly alone: number;
  /** Milliseconds to an answer. */
  readonly p50: number;
  readonly p99: number;
  /** Seconds of the service's processor time an answer, and an item of the model alone: what a busy machine leaves sound. */
  readonly cpu: number;
  readonly cpuAlone: number;
  /** Answers other than 200, and none at all. */
  readonly failed: number;
}

/** bench/results/serve-*.json. */
export interface ServeResult extends Result<ServeRow> {
  readonly bench: "serve";
}

type Kind = "image" | "text";
const CLIENTS = [1, 8, 64];

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "demo" },
    backend: { type: "string", default: "auto" },
    dtype: { type: "string", default: "auto" },
    threads: { type: "string", default: "0" },
    kind: { type: "string", default: "image,text" },
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
  },
});
const seconds = Number(options.seconds);
const kinds = options.kind.split(",") as Kind[];

// Bundled, since tsx names every function anew whenever one is made, which would cost a tenth of a text.
const script = fileURLToPath(new URL("../dist/test/serve-child.js", import.meta.url));
buildSync({
  ...{ entryPoints: [fileURLToPath(new URL("serve/child.ts", import.meta.url))], outfile: script },
  ...{ bundle: true, platform: "node", target: "node20", format: "esm", packages: "external", logLevel: "error" },
});
const { model, backend, dtype, threads } = options;
const child = spawn(process.execPath, [script, model, backend, dtype, threads, options.seconds], {
  stdio: ["pipe", "pipe", "inherit"],
});
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
async function line<Value>(): Promise<Value> {
  const { value, done } = await lines.next();
  if (done) throw new Error("the service ended");
  return JSON.parse(value);
}

const bodies: Record<Kind, string[]> = {
  image: pictures().map((bytes) => body({ image: Buffer.from(bytes).toString("base64") })),
  text: TEXTS.map(body),
};
function body(input: unknown): string {
  return JSON.stringify({ model: "bench", input, encoding_format: "base64" });
}
const headers = { "Content-Type": "application/json" };

/** Whether the service answers as the model does; says where it does not. */
async function verify({ url, wanted }: Ready, kind: Kind): Promise<boolean> {
  const answer = await fetch(`${url}/v1/embeddings`, { method: "POST", headers, body: bodies[kind][0] });
  const { data } = (await answer.json()) as { data: [{ embedding: string }] };
  const bytes = Buffer.from(data[0].embedding, "base64");
  const off = Math.hypot(...wanted[kind].map((value, at) => value - bytes.readFloatLE(4 * at)));
  if (off < 1e-4 && bytes.length === 4 * wanted[kind].length) return true;
  console.error(`${kind}: wanted the model's own embedding, found one ${off} away.`);
  return false;
}

async function ask<Value>(question: string): Promise<Value> {
  child.stdin.write(`${question}\n`);
  return line<Value>();
}

async function load(url: string, kind: Kind, clients: number) {
  const requests = bodies[kind].map((body) => ({ method: "POST" as const, path: "/v1/embeddings", headers, body }));
  const before = await ask<Used>("cpu");
  const found = await autocannon({ url, connections: clients, duration: seconds, requests, timeout: 60 });
  const failed = found.non2xx + found.errors + found.timeouts;
  const cpu = ((await ask<Used>("cpu")).cpu - before.cpu) / found["2xx"];
  return { rate: found["2xx"] / found.duration, p50: found.latency.p50, p99: found.latency.p99, cpu, failed };
}

const ready = await line<Ready>();
const rows: ServeRow[] = [];
for (const kind of kinds) {
  if (!(await verify(ready, kind))) process.exitCode = 1;
  let [alone, cpuAlone] = [0, Number.POSITIVE_INFINITY];
  const best = new Map<number, Awaited<ReturnType<typeof load>>>();
  for (let round = 0; round < Number(options.rounds); round++) {
    const { rate, cpu } = await ask<Alone>(kind);
    [alone, cpuAlone] = [Math.max(alone, rate), Math.min(cpuAlone, cpu)];
    for (const clients of CLIENTS) {
      const found = await load(ready.url, kind, clients);
      if (found.failed > 0) process.exitCode = 1;
      const before = best.get(clients);
      if (!before || found.rate > before.rate || found.failed > 0) best.set(clients, found);
    }
  }
  const { backend, dtype } = ready.device;
  for (const [clients, found] of best) rows.push({ kind, model, backend, dtype, clients, alone, cpuAlone, ...found });
}
child.stdin.end();

const head = ["kind", "clients", "answers/s", "alone/s", "share", "p50", "p99", "CPU", "CPU alone", "failed"];
const cells = rows.map(({ kind, clients, rate, alone, p50, p99, cpu, cpuAlone, failed }) => [
  ...[kind, `${clients}`, digits(rate), digits(alone), percent(rate / alone)],
  ...[`${p50} ms`, `${p99} ms`, duration(cpu), duration(cpuAlone), `${failed}`],
]);
console.log(table(head, cells));
if (kinds.length === 2) {
  const result: ServeResult = { bench: "serve", adapter: undefined, environment: environment(), rows };
  console.log(`written to ${writeResult(result)}`);
}
