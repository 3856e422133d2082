// What a worker does that is told to end, and one that has no device, with a real Redis.
import { describe, expect } from "vitest";
import { ShardQueue, type ShardTask } from "../../src/bulk/queue/shard-queue.ts";
import { type DoShard, work } from "../../src/bulk/queue/work.ts";
import { SiglipError } from "../../src/support/error.ts";
import { tallied } from "../harness/cases.ts";
import { missing, Redis } from "./engines.ts";

const inRedis = { backend: "wasm", precision: "f16", skip: missing(["redis-server", "redis-cli"], ["redis-server"]) };

const NAME = "siglip";

function task(index: number, count: number): ShardTask {
  return { plan: "p", sources: ["m"], shard: `${index}/${count}`, out: `${index}.npy`, model: "demo", vectors: "f32" };
}

const settings = { name: NAME, lock: 30, untilEmpty: true, onShard: () => {} };

const untilAborted: DoShard = (_task, _tell, signal) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

describe("a queue", () => {
  tallied("is in no database that its Redis has not", inRedis, async () => {
    await using redis = await Redis.start();
    await expect(ShardQueue.open(`${redis.url}/99`, NAME)).rejects.toThrow(/found ERR DB index is out of range; /);
    await (await ShardQueue.open(`${redis.url}/2`, NAME)).close();
  });
});

describe("a worker", () => {
  tallied("gives its shard back when it is told to end, and ends although its Redis is away", inRedis, async () => {
    await using redis = await Redis.start();
    const queue = await ShardQueue.open(redis.url, NAME);
    await queue.add([task(0, 1)]);
    for (const away of [false, true]) {
      const stop = new AbortController();
      const working = work(redis.url, { ...settings, signal: stop.signal }, untilAborted);
      while ((await queue.status()).counts.active === 0) await new Promise((resolve) => setTimeout(resolve, 50));
      if (away) await redis.down();
      stop.abort();
      expect(await working).toEqual({ done: 0, failed: 0 });
      if (!away) expect((await queue.status()).counts).toEqual({ waiting: 1, active: 0, done: 0, failed: 0 });
    }
    await redis.up();
    await queue.close();
  });

  tallied("without a device gives its shard back and ends, and has no shard fail", inRedis, async () => {
    await using redis = await Redis.start();
    const queue = await ShardQueue.open(redis.url, NAME);
    await queue.add([task(0, 2), task(1, 2)]);
    const { signal } = new AbortController();
    const none = async () => {
      throw new SiglipError("no adapter", { code: "no-device" });
    };
    await expect(work(redis.url, { ...settings, signal }, none)).rejects.toThrow("no adapter");
    expect((await queue.status()).counts).toEqual({ waiting: 2, active: 0, done: 0, failed: 0 });
    await queue.close();
  });
});
