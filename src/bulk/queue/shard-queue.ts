import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import type { Job, Queue } from "bullmq";
import type { VectorDType } from "../../search/vectors.ts";
import { mismatch } from "../../support/error.ts";
import { type Connection, connect } from "./open.ts";
import { type DoneShard, type Pace, paceOf } from "./pace.ts";

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
export interface QueueStatus extends Pace {
  readonly counts: Readonly<Record<"waiting" | "active" | "done" | "failed", number>>;
  readonly workers: number;
  /** Of shards that are done, and of those in work as far as they are. */
  readonly rows: number;
  /** Pictures and texts left out of those. */
  readonly skipped: number;
  /** Shards that failed as often as they may: how often, and why at last. */
  readonly failures: readonly {
    readonly shard: string;
    readonly out: string;
    readonly tries: number;
    readonly reason: string;
  }[];
}

/** What became of shards that were added. */
export interface Added {
  /** That were not there before. */
  readonly fresh: number;
  /** That are done, but whose file is not seen here. */
  readonly gone: number;
}

/** How often a shard is tried that fails. */
const ATTEMPTS = 3;

/** Most failures that are listed, and jobs that are sent or read at a time. */
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

  /**
   * Adds shards. One whose file is already asked for is not added again, unless it is done, that file is not seen here
   * and `again` is asked for.
   */
  async add(tasks: readonly ShardTask[], { again = false } = {}): Promise<Added> {
    const gone = await this.gone(new Set(tasks.map(idOf)));
    if (again) for (const job of gone) await job.remove();
    const before = await this.total();
    const options = { attempts: ATTEMPTS, backoff: { type: "exponential", delay: 1000 } as const };
    for (let from = 0; from < tasks.length; from += MOST) {
      const jobs = tasks.slice(from, from + MOST).map((data) => {
        return { name: "shard", data, opts: { ...options, jobId: idOf(data) } };
      });
      await this.queue.addBulk(jobs);
    }
    const added = (await this.total()) - before;
    return { fresh: again ? added - gone.length : added, gone: gone.length };
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
    const done: DoneShard[] = [];
    for await (const { returnvalue, processedOn, finishedOn = 0 } of this.completed(completed)) {
      rows += returnvalue.rows;
      skipped += Number(returnvalue.failed) || 0;
      done.push({ rows: returnvalue.rows, began: processedOn ?? finishedOn, ended: finishedOn });
    }
    const inWork = working.reduce((sum, job) => sum + ((job?.progress as ShardProgress)?.done || 0), 0);
    const counts = { waiting: waiting + prioritized + delayed, active, done: completed, failed };
    return {
      ...{ counts, workers, rows: rows + inWork, skipped },
      ...paceOf(done, inWork, counts.waiting + counts.active, Date.now()),
      failures: lost.map(({ data, attemptsMade, failedReason }) => ({
        ...{ shard: String(data?.shard), out: String(data?.out), tries: attemptsMade, reason: failedReason },
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

  /** Jobs that are done, of which there are so many: the oldest first, so that none that ends meanwhile shifts the rest. */
  private async *completed(count: number): AsyncGenerator<Job<ShardTask, ShardDone>> {
    for (let from = 0; from < count; from += MOST) {
      for (const job of await this.queue.getJobs("completed", from, from + MOST - 1, true)) {
        if (typeof job?.returnvalue?.rows === "number") yield job;
      }
    }
  }

  /** The jobs among these that are done, but whose file is not seen here. */
  private async gone(ids: ReadonlySet<string>): Promise<Job<ShardTask, ShardDone>[]> {
    const gone: Job<ShardTask, ShardDone>[] = [];
    for await (const job of this.completed(await this.queue.getCompletedCount())) {
      if (ids.has(job.id!) && (await isGone(job.data.out))) gone.push(job);
    }
    return gone;
  }

  private async total(): Promise<number> {
    return Object.values(await this.queue.getJobCounts()).reduce((sum, count) => sum + count, 0);
  }
}

/** The same for the same shard of the same plan, by the same model into the same file. */
function idOf(task: ShardTask): string {
  return createHash("sha256").update(JSON.stringify(task)).digest("hex");
}

/** Whether there is nothing of that name; a disk that does not answer may still have it. */
function isGone(path: string): Promise<boolean> {
  return stat(path).then(
    () => false,
    ({ code }) => code === "ENOENT" || code === "ENOTDIR",
  );
}
