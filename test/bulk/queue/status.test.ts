import { afterEach, expect, it, vi } from "vitest";
import { ShardQueue } from "../../../src/bulk/queue/shard-queue.ts";

/** Jobs of a queue that are done, in the order in which they ended. */
const done: { returnvalue: { rows: number }; processedOn: number; finishedOn: number }[] = [];
const end = () => done.push({ returnvalue: { rows: 1 }, processedOn: Date.now(), finishedOn: Date.now() });

/** What is used of BullMQ's queue; a job ends while others are read. */
class Queue {
  on() {}
  async getJobCounts() {
    return { waiting: 0, prioritized: 0, delayed: 0, active: 0, completed: done.length, failed: 0 };
  }
  async getActive() {
    return [];
  }
  async getFailed() {
    return [];
  }
  async getWorkersCount() {
    return 1;
  }
  async getJobs(_: string, from: number, to: number, oldestFirst = false) {
    const jobs = (oldestFirst ? done : done.toReversed()).slice(from, to + 1);
    end();
    return jobs;
  }
  getCompleted(from: number, to: number) {
    return this.getJobs("completed", from, to);
  }
  async close() {}
}
/** Other files' tests may have loaded the module that connects, which a mock would then not replace. */
function openQueue(): ShardQueue {
  return Reflect.construct(ShardQueue, [{ bullmq: { Queue }, redis: {}, close() {} }, "siglip"]);
}
afterEach(() => vi.restoreAllMocks());

it("a queue counts each shard once, whatever ends while it counts", async () => {
  for (let i = 0; i < 2000; i++) end();
  const read: unknown[] = [];
  const getJobs = Queue.prototype.getJobs;
  vi.spyOn(Queue.prototype, "getJobs").mockImplementation(async function (this: Queue, ...given) {
    const jobs = await getJobs.apply(this, given);
    read.push(...jobs);
    return jobs;
  });
  const queue = openQueue();
  // Whoever wrote into the Redis has not said how many were left out.
  expect(await queue.status()).toMatchObject({ rows: 2000, skipped: 0 });
  expect(new Set(read).size).toBe(2000);
  await queue.close();
});
