import { setTimeout as sleep } from "node:timers/promises";
import type { Job } from "bullmq";
import { SiglipError } from "../../support/error.ts";
import { connect } from "./open.ts";
import { readTask, type ShardDone, type ShardProgress, type ShardTask } from "./shard-queue.ts";

/** Does one shard; rejects where it cannot, with the signal's reason once that is aborted. */
export type DoShard = (
  task: ShardTask,
  onProgress: (progress: ShardProgress) => void,
  signal: AbortSignal,
) => Promise<ShardDone>;

/** Options of a worker. */
export interface WorkOptions {
  readonly name: string;
  /** Seconds after which a worker that says nothing is taken for dead and its shard given to another. */
  readonly lock: number;
  /** Whether to end once nothing waits and nothing is in work. */
  readonly untilEmpty: boolean;
  /** Gives the shard in work back and ends; it is no failure of that shard. */
  readonly signal: AbortSignal;
  /** Told of each shard that is done, given back or has failed. */
  readonly onShard: (shard: Pick<ShardTask, "shard" | "out">, outcome: ShardDone | Error) => void;
}

/** How often a shard may die with its worker: machines that are taken away are common, a shard that ends them is not. */
const DEATHS = 20;

/** How often progress is told, in milliseconds. */
const TELL = 2000;

/** How long a Redis that has gone away may keep a worker that is to end, in milliseconds. */
const GRACE = 5000;

/** Shards done and failed by this worker. */
export interface Worked {
  readonly done: number;
  readonly failed: number;
}

/**
 * Takes shards from a queue, one at a time, until the signal or, where it is to, until there are none. The lock on a shard
 * is renewed while it is in work; who was held up for longer than it lasts finishes all the same, and what two have done
 * is one file. Rejects where the queue cannot be reached at the beginning, and where this machine has no device: the
 * shard is then given back, lest one machine that is broken has them all fail.
 */
export async function work(url: string, options: WorkOptions, doShard: DoShard): Promise<Worked> {
  const { bullmq, redis, close } = await connect(url);
  const { name, lock, untilEmpty, signal, onShard } = options;
  let done = 0;
  let failed = 0;
  let current: Promise<unknown> = Promise.resolve();
  const broken = new AbortController();
  const end = AbortSignal.any([signal, broken.signal]);
  const run = async (job: Job<ShardTask, ShardDone>, token?: string): Promise<ShardDone> => {
    let told = 0;
    const tell = (progress: ShardProgress) => {
      if (Date.now() - told < TELL) return;
      told = Date.now();
      job.updateProgress({ ...progress }).catch(() => {});
    };
    try {
      const doing = doShard(readTask(job.data), tell, end);
      current = doing.catch(() => {});
      const result = await doing;
      done++;
      onShard(job.data, result);
      return result;
    } catch (error) {
      if (error instanceof SiglipError && error.code === "no-device") broken.abort(error);
      if (end.aborted) {
        await job.moveToDelayed(Date.now(), token).catch(() => {});
        throw new bullmq.DelayedError();
      }
      failed++;
      onShard({ shard: String(job.data?.shard), out: String(job.data?.out) }, error as Error);
      throw error;
    }
  };
  const worker = new bullmq.Worker<ShardTask, ShardDone>(name, run, {
    connection: redis,
    concurrency: 1,
    lockDuration: lock * 1000,
    stalledInterval: lock * 1000,
    maxStalledCount: DEATHS,
    drainDelay: 1,
  });
  // A lock that was lost, a connection that was: the shard is tried again by whoever has it now.
  worker.on("error", () => {});
  const queue = new bullmq.Queue<ShardTask, ShardDone>(name, { connection: redis });
  queue.on("error", () => {});
  const ended = new Promise<true>((resolve) => end.addEventListener("abort", () => resolve(true)));
  try {
    while (!end.aborted) {
      await Promise.race([ended, sleep(500)]);
      // What is asked of a Redis that is away is answered when it is back.
      if (untilEmpty && (await Promise.race([ended, isEmpty(queue)]))) break;
    }
  } finally {
    const closed = Promise.all([worker.close(), queue.close()]).catch(() => {});
    await current;
    await Promise.race([closed, sleep(GRACE)]);
    close();
  }
  broken.signal.throwIfAborted();
  return { done, failed };
}

async function isEmpty(queue: import("bullmq").Queue): Promise<boolean> {
  const { waiting, prioritized, delayed, active } = await queue.getJobCounts();
  return waiting + prioritized + delayed + active === 0;
}
