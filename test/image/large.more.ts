import type { Worker } from "node:worker_threads";
import { expect, it, vi } from "vitest";

/** A BMP of `side` x `side` pixels of one colour, in runs. */
function evenBmp(side: number): Buffer {
  const row = Buffer.concat([...Array(Math.ceil(side / 200)).fill(Buffer.of(200, 1)), Buffer.of(0, 0)]);
  const file = Buffer.concat([Buffer.alloc(54 + 8), ...Array(side).fill(row), Buffer.of(0, 1)]);
  file.write("BM");
  file.writeUInt32LE(62, 10);
  for (const [at, value] of Object.entries({ 14: 40, 18: side, 22: side, 30: 1, 46: 2 }))
    file.writeUInt32LE(value, +at);
  file.writeUInt16LE(8, 28);
  file.writeUInt32LE(0x123456, 58);
  return file;
}

it("large pictures wait for each other, but not for a thread that has died of one", async () => {
  const workers: Worker[] = [];
  vi.resetModules();
  vi.doMock("node:worker_threads", async (original) => {
    const threads = await original<typeof import("node:worker_threads")>();
    class Told extends threads.Worker {
      constructor(...rest: ConstructorParameters<typeof Worker>) {
        super(...rest);
        workers.push(this);
      }
    }
    return { ...threads, Worker: Told };
  });
  const { decode } = await import("../../src/node/images/decode.ts");
  vi.doUnmock("node:worker_threads");
  const [large, small] = [evenBmp(6400), evenBmp(100)];
  const all = [large, large, large, ...Array(6).fill(small)].map((file) =>
    decode(file, "x").then(({ width, data }) => [width, ...data.subarray(-3)].join()),
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  await workers[0].terminate();
  const found = (await Promise.allSettled(all)).map((one) => (one.status === "fulfilled" ? one.value : "lost"));
  expect(found.filter((one) => one === "lost").length).toBeLessThanOrEqual(1);
  expect(found.filter((one) => one === "6400,18,52,86").length).toBeGreaterThanOrEqual(2);
  expect(found.slice(3)).toEqual(Array(6).fill("100,18,52,86"));
  for (const worker of workers) await worker.terminate();
});
