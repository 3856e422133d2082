import { expect, it } from "vitest";
import type { QueueStatus } from "../../src/bulk/queue/shard-queue.ts";
import { statusLines } from "../../src/cli/status.ts";

const status: QueueStatus = {
  counts: { waiting: 5, active: 2, done: 3, failed: 0 },
  ...{ workers: 2, rows: 31_234, skipped: 0, failures: [] },
};

it("siglip status tells how far a queue is, how fast it goes, how long it takes and what failed", () => {
  expect(statusLines({ ...status, rate: 1234.56, left: 4321 }, 0)).toEqual([
    "3 of 10 shards done, 2 in work by 2 workers, 0 failed",
    "31234 embeddings, 1235 a second, 1 h 12 min left",
  ]);
  const failures = [
    { shard: "7/12", out: "7.npy", tries: 3, reason: "disk full\u001b[31m" },
    { shard: "11/12", out: "11.npy", tries: 1, reason: "gone" },
  ];
  const counts = { waiting: 0, active: 0, done: 10, failed: 2 };
  expect(statusLines({ ...status, counts, workers: 1, skipped: 4, rate: 8, left: 0, failures }, 1)).toEqual([
    "1 tried again",
    "10 of 12 shards done, 0 in work by 1 worker, 2 failed",
    "31234 embeddings, 4 left out, 8.00 a second",
    "7/12   3 tries  disk full\\u001b[31m\n11/12  1 try    gone",
  ]);
  expect(statusLines(status, 0)[1]).toBe("31234 embeddings");
});
