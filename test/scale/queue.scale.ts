// A queue of shards in a real Redis, with workers that are killed, stopped and let go on.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { tallied } from "../harness/cases.ts";
import { makePictures, type Running, start } from "./command.ts";
import { missing, Redis } from "./engines.ts";
import { rowsOf } from "./rows.ts";

const PICTURES = Number(process.env.SIGLIP_SCALE_PICTURES ?? 20_000);
const PER_SHARD = 250;
/** Seconds that a lock lasts. */
const LOCK = 4;

const noRedis = missing(["redis-server", "redis-cli"], ["redis-server"]);
const inRedis = { backend: "wasm", precision: "f16", skip: noRedis };

let folder = "";
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "siglip-scale-"));
  if (!noRedis) makePictures(join(folder, "pictures"), PICTURES);
}, 600_000);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const siglip = (...words: string[]) => start(folder, words);

async function run(...words: string[]): Promise<string> {
  const { code, output, errors } = await siglip(...words).ended;
  expect([code, errors]).toEqual([0, expect.anything()]);
  return output;
}

interface Status {
  readonly counts: Record<"waiting" | "active" | "done" | "failed", number>;
  readonly rows: number;
  readonly failures: readonly { readonly shard: string; readonly reason: string }[];
}

describe("a queue of shards", () => {
  tallied("gives each picture one row, whatever becomes of its workers and of Redis", inRedis, async () => {
    await using redis = await Redis.start();
    const queue = ["--queue", redis.url];
    const status = async (): Promise<Status> => JSON.parse(await run("status", ...queue, "--json"));
    const planned = ["plan", "pictures", "--out", "m.jsonl", "--per-shard", `${PER_SHARD}`, ...queue];
    await run(...planned, "--to", "parts/{}.safetensors");
    // A shard that nobody can do, since what it is of is gone.
    await run("plan", "pictures/0", "--out", "gone.jsonl", "--per-shard", "500", ...queue);
    rmSync(join(folder, "gone.jsonl"));

    const worker = () =>
      siglip("work", ...queue, "--lock", `${LOCK}`, "--until-empty", "--backend", "wasm", "--threads", "1");
    const workers: Running[] = [worker(), worker(), worker()];
    const began = Date.now();
    let [killed, stopped, restarted] = [0, false, false];
    for (let turn = 0; ; turn++) {
      await sleep(3000);
      const { counts } = await status();
      if (counts.waiting + counts.active === 0) break;
      expect(Date.now() - began).toBeLessThan(1_800_000);
      const share = counts.done / (PICTURES / PER_SHARD);
      if (!stopped && share > 0.05) {
        stopped = true;
        const { child } = workers[0];
        child.kill("SIGSTOP");
        void sleep(2.5 * LOCK * 1000).then(() => child.kill("SIGCONT"));
      } else if (!restarted && share > 0.3) {
        restarted = true;
        await redis.down();
        await sleep(1000);
        await redis.up();
      } else {
        // The one that is stopped lives.
        const victim = 1 + (turn % 2);
        workers[victim].child.kill("SIGKILL");
        killed++;
        workers[victim] = worker();
      }
    }
    for (const { ended, child } of workers) {
      child.kill("SIGTERM");
      await ended;
    }
    console.log(`${killed} workers killed, one stopped: ${stopped}, Redis restarted: ${restarted}`);
    expect([stopped, restarted, killed > 3]).toEqual([true, true, true]);

    const { counts, failures } = await status();
    expect(counts).toEqual({ waiting: 0, active: 0, done: Math.ceil(PICTURES / PER_SHARD), failed: 1 });
    expect(failures).toMatchObject([{ shard: "0/1", reason: expect.stringContaining("gone.jsonl") }]);

    await run("merge", ...partNames(), "--out", "merged.safetensors");
    await run("embed", "m.jsonl", "--out", "alone.safetensors", "--backend", "wasm");
    const [merged, alone] = [
      await rowsOf(join(folder, "merged.safetensors")),
      await rowsOf(join(folder, "alone.safetensors")),
    ];
    expect([merged.count, merged.rows.size]).toEqual([PICTURES, PICTURES]);
    const different = [...alone.rows].filter(([name, row]) => merged.rows.get(name) !== row);
    expect([alone.count, different.length]).toEqual([PICTURES, 0]);
  });
});

function partNames(): string[] {
  const last = Math.ceil(PICTURES / PER_SHARD) - 1;
  return Array.from({ length: last + 1 }, (_, index) =>
    join("parts", `${`${index}`.padStart(`${last}`.length, "0")}.safetensors`),
  );
}
