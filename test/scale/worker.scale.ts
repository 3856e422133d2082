// What a worker does that is told to end, and one that has no device, with a real Redis.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished } from "vitest";
import { ShardQueue, type ShardTask } from "../../src/bulk/queue/shard-queue.ts";
import { type DoShard, work } from "../../src/bulk/queue/work.ts";
import { SiglipError } from "../../src/support/error.ts";
import { tallied } from "../harness/cases.ts";
import { start } from "./command.ts";
import { missing, Redis } from "./engines.ts";

const inRedis = { backend: "wasm", precision: "f16", skip: missing(["redis-server", "redis-cli"], ["redis-server"]) };

const NAME = "siglip";

function task(index: number, count: number): ShardTask {
  return { plan: "p", sources: ["m"], shard: `${index}/${count}`, out: `${index}.npy`, model: "demo", vectors: "f32" };
}

const settings = { name: NAME, lock: 30, untilEmpty: true, onShard: () => {} };

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "siglip-worker-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const untilAborted: DoShard = (_task, _tell, signal) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

describe("a queue", () => {
  tallied("is in no database that its Redis has not", inRedis, async () => {
    await using redis = await Redis.start();
    await expect(ShardQueue.open(`${redis.url}/99`, NAME)).rejects.toThrow(/found ERR DB index is out of range; /);
    await (await ShardQueue.open(`${redis.url}/2`, NAME)).close();
  });
});

describe("a queue that is planned again", () => {
  tallied("has a shard done again whose file is gone, and no other", inRedis, async () => {
    await using redis = await Redis.start();
    const folder = temporaryFolder();
    writeFileSync(join(folder, "texts.jsonl"), '"a"\n"b"\n"c"\n');
    const siglip = async (...words: string[]) => {
      const { code, output, errors } = await start(folder, [...words, "--queue", redis.url]).ended;
      expect([code, errors]).toEqual([0, expect.anything()]);
      return output;
    };
    const plan = (...more: string[]) =>
      siglip("plan", "texts.jsonl", "--out", "m.jsonl", "--per-shard", "1", "--to", "{}.npy", ...more);
    const embed = () => siglip("work", "--until-empty", "--backend", "wasm", "--threads", "1");
    expect(await plan()).toContain(": 0 images and 3 texts, 3 of them new in the queue, in ");
    expect((await embed()).match(/npy: 1 embeddings/g)).toHaveLength(3);
    expect(await plan()).toContain(", 0 of them new in the queue, in ");
    rmSync(join(folder, "1.npy"));
    expect(await plan()).toContain(", 0 of them new in the queue, 1 done whose files are not seen here (--again has ");
    expect(await embed()).toBe("");
    const again = ", 0 of them new in the queue, 1 to be done again since their files are gone, in ";
    expect(await plan("--again")).toContain(again);
    expect(await embed()).toMatch(/^[^\n]*\/1\.npy: 1 embeddings[^\n]*\n$/);
    const [shards, rows] = (await siglip("status")).split("\n");
    expect(shards).toBe("3 of 3 shards done, 0 in work by 0 workers, 0 failed");
    expect(rows).toMatch(/^3 embeddings, [\d.]+ a second$/);
  });
});

describe("a worker", () => {
  tallied("tries a shard three times that fails, and leaves it with its reason; others are done", inRedis, async () => {
    await using redis = await Redis.start();
    const queue = await ShardQueue.open(redis.url, NAME);
    await queue.add([task(0, 4), task(1, 4), task(2, 4), task(3, 4)]);
    const { signal } = new AbortController();
    const tries: string[] = [];
    const most: DoShard = async ({ shard }, tell) => {
      tries.push(shard);
      if (shard === "1/4") throw new Error(`no disk, try ${tries.filter((one) => one === shard).length}`);
      tell({ done: 10, total: 100 });
      await sleep(100);
      return { rows: 100, failed: 2, reasons: [], seconds: 0.1 };
    };
    expect(await work(redis.url, { ...settings, signal }, most)).toEqual({ done: 3, failed: 3 });
    expect(tries.toSorted()).toEqual(["0/4", "1/4", "1/4", "1/4", "2/4", "3/4"]);
    const { counts, rows, skipped, rate, left, failures } = await queue.status();
    expect([counts, rows, skipped, left]).toEqual([{ waiting: 0, active: 0, done: 3, failed: 1 }, 300, 6, 0]);
    // The tries lie a second and two apart.
    expect(rate).toBeGreaterThan(10);
    expect(rate).toBeLessThan(300);
    expect(failures).toEqual([{ shard: "1/4", out: "1.npy", tries: 3, reason: "no disk, try 3" }]);

    await queue.add([task(4, 6), task(5, 6)]);
    const before = (await queue.status()).left!;
    await sleep(300);
    // Two of 100 rows, at a rate that falls meanwhile.
    const later = await queue.status();
    expect([later.left! > before, later.left! * later.rate!]).toEqual([true, expect.closeTo(200, 6)]);
    const { output } = await start(tmpdir(), ["status", "--queue", redis.url]).ended;
    expect(output.split("\n")).toEqual([
      "3 of 6 shards done, 0 in work by 0 workers, 1 failed",
      expect.stringMatching(/^300 embeddings, 6 left out, [\d.]+ a second, [\dhmins. ]+ left$/),
      "1/4  3 tries  no disk, try 3",
      "",
    ]);
    expect(await queue.retry()).toBe(1);
    expect((await queue.status()).counts).toEqual({ waiting: 3, active: 0, done: 3, failed: 0 });
    await queue.close();
  });

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
