import { createHash } from "node:crypto";
import type { Job, Queue } from "bullmq";
import type { VectorDType } from "../../search/vectors.ts";
import { mismatch } from "../../support/error.ts";
import { type Connection, connect } from "./open.ts";

/** A shard that somebody is to embed: what `siglip embed` is told in words. */
export interface ShardTask {
  /** What was planned, as a digest. */
  readonly plan: string;
  /** The manifest or the sources, as every worker finds them. */
  readonly sources: readonly string[];
  /** `i/n`. */
  readonly shard: string;
  /** The file to be written. */
  readonly out: string;
  readonly model: string;
  readonly vectors: VectorDType;
}

/**
 * What a queue holds as a task, which whoever can write to its Redis has put there. Throws a SiglipError for anything
 * else.
 */
export function readTask(data: unknown): ShardTask {
  const { sources, vectors, ...names } = (data ?? {}) as Partial<ShardTask>;
  const { plan, shard, out, model } = names;
  const texts = [plan, shard, out, model, ...(Array.isArray(sources) ? sources : [undefined])];
  if (texts.every((text) => typeof text === "string") && ["f32", "f16", "i8"].includes(vectors!)) {
    return data as ShardTask;
  }
  throw mismatch("bad-input", "a shard of the queue", "a task of siglip plan", "another job", "plan with this version");
}

/** What became of a shard. */
export interface ShardDone {
  /** Rows in its file. */
  readonly rows: number;
  /** Pictures and texts of which nothing could be made, and up to ten of their reasons. */
  readonly failed: number;
  readonly reasons: readonly string[];
  readonly seconds: number;
}

/** How far a worker is with a shard. */
export interface ShardProgress {
  readonly done: number;
  readonly total?: number;
}

/** How a queue does. */
export interface QueueStatus {
  readonly counts: Readonly<Record<"waiting" | "active" | "done" | "failed", number>>;
  readonly workers: number;
  /** Of shards that are done, and of those in work as far as they are. */
  readonly rows: number;
  /** Pictures and texts left out of those. */
  readonly skipped: number;
  /** Rows a second over the last minutes; undefined while no shard was done in them. */
  readonly rate?: number;
  /** Seconds until the rest is done at that rate. */
  readonly left?: number;
  /** Shards that failed as often as they may, and why. */
  readonly failures: readonly { readonly shard: string; readonly out: string; readonly reason: string }[];
}

/** How often a shard is tried that fails. */
const ATTEMPTS = 3;

/** Over how long a rate is measured, in milliseconds. */
const WINDOW = 600_000;

/** Most failures that are listed, and shards looked through for a rate. */
const MOST = 1000;

/** Shards in a Redis, each of which some worker does. */
export class ShardQueue {
  private readonly connection: Connection;
  private readonly queue: Queue<ShardTask, ShardDone>;

  private constructor(connection: Connection, name: string) {
    this.connection = connection;
    this.queue = new connection.bullmq.Queue(name, { connection: connection.redis });
    this.queue.on("error", () => {}); // a lost connection comes back
  }

  /** Rejects as `connect` does. */
  static async open(url: string, name: string): Promise<ShardQueue> {
    return new ShardQueue(await connect(url), name);
  }

  /** Adds shards; one whose file is already asked for is not added again. Says how many are new. */
  async add(tasks: readonly ShardTask[]): Promise<number> {
    const before = await this.total();
    const options = { attempts: ATTEMPTS, backoff: { type: "exponential", delay: 1000 } as const };
    for (let from = 0; from < tasks.length; from += MOST) {
      const jobs = tasks.slice(from, from + MOST).map((data) => {
        return { name: "shard", data, opts: { ...options, jobId: idOf(data) } };
      });
      await this.queue.addBulk(jobs);
    }
    return (await this.total()) - before;
  }

  async status(): Promise<QueueStatus> {
    const { queue } = this;
    const { waiting, prioritized, delayed, active, completed, failed } = await queue.getJobCounts();
    const [working, lost, workers] = await Promise.all([
      queue.getActive(),
      queue.getFailed(0, MOST - 1),
      queue.getWorkersCount(),
    ]);
    let rows = 0;
    let skipped = 0;
    const since = Date.now() - WINDOW;
    const recent: Job<ShardTask, ShardDone>[] = [];
    for (let from = 0; from < completed; from += MOST) {
      for (const job of await queue.getCompleted(from, from + MOST - 1)) {
        rows += job?.returnvalue?.rows ?? 0;
        skipped += job?.returnvalue?.failed ?? 0;
        if ((job?.finishedOn ?? 0) >= since) recent.push(job);
      }
    }
    const inWork = working.reduce((sum, job) => sum + ((job?.progress as ShardProgress)?.done || 0), 0);
    const counts = { waiting: waiting + prioritized + delayed, active, done: completed, failed };
    return {
      ...{ counts, workers, rows: rows + inWork, skipped },
      ...paceOf(recent, inWork, counts.waiting + counts.active),
      failures: lost.map(({ data, failedReason }) => ({
        shard: String(data?.shard),
        out: String(data?.out),
        reason: failedReason,
      })),
    };
  }

  /** Puts what failed back, to be tried as often again. Says how many. */
  async retry(): Promise<number> {
    const before = await this.queue.getFailedCount();
    await this.queue.retryJobs({ state: "failed" });
    return before;
  }

  async close(): Promise<void> {
    await this.queue.close().catch(() => {});
    this.connection.close();
  }

  private async total(): Promise<number> {
    return Object.values(await this.queue.getJobCounts()).reduce((sum, count) => sum + count, 0);
  }
}

/** The same for the same shard of the same plan, by the same model into the same file. */
function idOf(task: ShardTask): string {
  return createHash("sha256").update(JSON.stringify(task)).digest("hex");
}

/** The rate of late, and how long the rest takes at it. */
function paceOf(recent: readonly Job<ShardTask, ShardDone>[], inWork: number, shardsLeft: number) {
  if (recent.length === 0) return {};
  const began = Math.min(...recent.map(({ processedOn, finishedOn }) => processedOn ?? finishedOn!));
  const seconds = Math.max(1, Date.now() - began) / 1000;
  const rows = recent.reduce((sum, { returnvalue }) => sum + returnvalue.rows, 0);
  const rate = (rows + inWork) / seconds;
  // Those in work are as large as others are.
  const left = rows + inWork === 0 ? undefined : Math.max(0, (shardsLeft * rows) / recent.length - inWork) / rate;
  return { rate, left };
}
