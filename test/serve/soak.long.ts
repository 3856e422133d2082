// Clients of all kinds at a service for an hour, or for SIGLIP_SOAK_SECONDS: every answer is right, and memory is flat.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { Siglip } from "../../src/node.ts";
import { example, examples } from "../siglip/demo.ts";
import { embed, headers, metric, type Running, startService } from "./process.ts";

const SECONDS = Number(process.env.SIGLIP_SOAK_SECONDS ?? 3600);
const CLIENTS = 12;
/** How much may come from the second quarter to the last: to the heap's least, and to resident memory, which allocators keep. */
const MORE_HEAP = 2 ** 22;
const MORE_RESIDENT = 2 ** 26;

/** What there is to be embedded, and what it becomes alone. */
interface Item {
  readonly input: string;
  readonly wanted: Float32Array;
}

async function makeItems(): Promise<Item[]> {
  using model = await Siglip.load("demo", { backend: "wasm", threads: 1 });
  const texts = Array.from({ length: 40 }, (_, index) => `a photo of ${index} ${index % 2 ? "cats" : "planes"}`);
  const files = examples.map(({ file }) => readFileSync(example(file)));
  const [text, image] = [await model.embedTexts(texts), await model.embedImages(files)];
  const row = (data: Float32Array, index: number) => data.slice(index * model.dim, (index + 1) * model.dim);
  return [
    ...texts.map((input, index) => ({ input, wanted: row(text.data, index) })),
    ...files.map((file, index) => ({
      input: `data:image/png;base64,${file.toString("base64")}`,
      wanted: row(image.data, index),
    })),
  ];
}

/** What a client does next, by its number: mostly to ask for one or some, and now and then something foolish. */
async function act({ url }: Running, items: readonly Item[], number: number): Promise<string> {
  const some = Array.from({ length: 1 + (number % 7) }, (_, at) => items[(number * 31 + at * 7) % items.length]);
  const inputs = some.map(({ input }) => input);
  if (number % 23 === 5) {
    const gone = AbortSignal.timeout(number % 20);
    await embed(url, inputs, gone).catch(() => {});
    return "left";
  }
  if (number % 29 === 7) {
    const answer = await embed(url, [...inputs, { image: "AAAA" }]);
    const { error } = (await answer.json()) as { error: { param: string } };
    expect([answer.status, error.param]).toEqual([400, `input[${inputs.length}]`]);
    return "bad";
  }
  if (number % 31 === 9) {
    const body = JSON.stringify({ input: "x".repeat(2 ** 21) });
    const answer = await fetch(`${url}/v1/embeddings`, { method: "POST", headers, body });
    expect([answer.status, (await answer.text()).length > 0]).toEqual([413, true]);
    return "long";
  }
  const answer = await embed(url, inputs);
  expect(answer.status).toBe(200);
  const { data } = (await answer.json()) as { data: { embedding: number[] }[] };
  for (const [at, { wanted }] of some.entries()) {
    expect(Math.hypot(...wanted.map((value, d) => value - data[at].embedding[d]))).toBeLessThan(1e-4);
  }
  return "right";
}

it(`a service for ${SECONDS} seconds`, { timeout: (SECONDS + 120) * 1000 }, async () => {
  const items = await makeItems();
  const service = await startService(
    [process.execPath, "--max-old-space-size=128", "--import", "tsx"],
    ["--max-body", "1MiB"],
  );
  onTestFinished(() => void service.child.kill("SIGKILL"));
  const until = performance.now() + SECONDS * 1000;
  const counts: Record<string, number> = {};
  let number = 0;
  const client = async () => {
    while (performance.now() < until) {
      const what = await act(service, items, number++);
      counts[what] = (counts[what] ?? 0) + 1;
    }
  };
  const [resident, heap]: number[][] = [[], []];
  const watch = async () => {
    while (performance.now() < until) {
      resident.push(await metric(service.url, "process_resident_memory_bytes"));
      heap.push(await metric(service.url, "siglip_heap_bytes"));
      await sleep((SECONDS * 1000) / 200);
    }
  };
  await Promise.all([watch(), ...Array.from({ length: CLIENTS }, client)]);
  const quarter = Math.floor(heap.length / 4);
  /** What came between the second quarter and the last, by the least of each. */
  const growth = (values: readonly number[]) =>
    Math.min(...values.slice(-quarter)) - Math.min(...values.slice(quarter, 2 * quarter));
  console.info(counts, `${growth(heap)} bytes more on the heap, ${growth(resident)} more resident`);
  expect(growth(heap)).toBeLessThan(MORE_HEAP);
  expect(growth(resident)).toBeLessThan(MORE_RESIDENT);
  expect(await metric(service.url, "siglip_open_requests")).toBe(0);
  for (const kind of ["image", "text"]) expect(await metric(service.url, `siglip_queue{kind="${kind}"}`)).toBe(0);
  service.child.kill("SIGTERM");
  expect([await service.ended, service.output().match(/bug of siglip/)]).toEqual([0, null]);
});
