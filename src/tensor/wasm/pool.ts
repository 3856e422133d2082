import { mismatch, type SiglipError } from "../../support/error.ts";
import { Alone } from "./alone.ts";
import type { Compiled } from "./compile.ts";
import { type Crew, Crowd, type Threads } from "./crowd.ts";
import type { Memory } from "./memory.ts";
import { STEP_WORDS } from "./thread.ts";

/** One call of a kernel, in `chunks` pieces that may run at the same time and in any order. */
export interface Step {
  /** What `load` returned for the kernel. */
  readonly kernel: number;
  /** The pointer of the kernel's block of parameters. */
  readonly params: number;
  /** How many pieces; with 0 the step does nothing. */
  readonly chunks: number;
}

/** A list of steps that lies in memory and can be run many times. */
export interface Prepared {
  readonly pointer: number;
  /** The pointer behind its last step. */
  readonly end: number;
  /** Bytes that every thread has for itself while the steps run. */
  readonly scratch: number;
}

export interface PoolOptions {
  readonly memory: Memory;
  /** What the runtime has for threads. */
  readonly runtime: Threads;
  /** By default the cores, at most 16. With 1, or where there can be no others, the caller's own thread does everything. */
  readonly threads?: number;
}

interface Job {
  readonly list: Prepared;
  /** Told once that the job is over, or that it failed and why. */
  settle(failure?: { readonly reason: unknown }): void;
  readonly signal?: AbortSignal;
}

export const MOST_THREADS = 16;

/**
 * Runs lists of steps, one list after the other. Steps run in order, the chunks of one on whichever threads are free, so that
 * kernels whose chunks write to places of their own give the same bits on any number of threads.
 */
export class Pool {
  private readonly memory: Memory;
  private readonly crew: Crew;
  private readonly jobs: Job[] = [];
  private running: Job | undefined;
  private scratch = { pointer: 0, bytes: 0 };
  private closed: SiglipError | undefined;
  private kernels = 0;

  private constructor(memory: Memory, crew: Crew) {
    this.memory = memory;
    this.crew = crew;
  }

  /**
   * Starts the threads; where they cannot be had, the pool has one, the caller's own, and `alone` says why. Rejects with a SiglipError
   * where `threads` is no number of threads.
   */
  static async open({ memory, runtime, threads }: PoolOptions): Promise<Pool> {
    const wanted = threads ?? Math.min(Math.max(runtime.cores, 1), MOST_THREADS);
    if (!(Number.isInteger(wanted) && wanted >= 1 && wanted <= MOST_THREADS)) {
      const advice = "leave it out for the machine's cores";
      throw mismatch("bad-input", "threads", `a whole number from 1 to ${MOST_THREADS}`, String(threads), advice);
    }
    let pool: Pool | undefined;
    const crew =
      wanted === 1
        ? new Alone(memory)
        : await Crowd.open(memory, runtime, wanted, (why) => pool?.lose(why)).catch(
            (error: Error) => new Alone(memory, error.message),
          );
    pool = new Pool(memory, crew);
    return pool;
  }

  /** How many threads compute. */
  get threads(): number {
    return this.crew.size;
  }

  /** Why the caller's own thread does everything although more were wanted. */
  get alone(): string | undefined {
    return this.crew.reason;
  }

  /** Whether a thread has died or a kernel has failed, so that only a new pool helps. */
  get lost(): boolean {
    return this.closed?.code === "device-lost";
  }

  /** Waits for a kernel, and returns its index for steps. */
  async load(compiling: Promise<Compiled>): Promise<number> {
    const kernel = await compiling;
    if (this.closed) throw this.closed;
    this.crew.add(kernel);
    return this.kernels++;
  }

  /**
   * Writes a list of steps into memory, where it stays until `release`. `scratch` is how many bytes each thread gets for itself while it runs.
   * Throws a SiglipError where there is no room for the list.
   */
  prepare(steps: readonly Step[], scratch = 0): Prepared {
    const some = steps.filter(({ chunks }) => chunks > 0);
    const pointer = this.memory.alloc(4 * STEP_WORDS * some.length);
    const words = this.memory.intsAt(pointer, STEP_WORDS * some.length);
    for (const [i, { kernel, params, chunks }] of some.entries()) words.set([kernel, params, chunks], STEP_WORDS * i);
    return { pointer, end: pointer + words.byteLength, scratch };
  }

  /** Frees a list that does not run and is not to run again. */
  release({ pointer }: Prepared): void {
    this.memory.free(pointer);
  }

  /**
   * Runs a list after those that were asked for before. When the signal aborts, it ends after the chunks at hand and rejects with
   * the signal's reason. Rejects with a SiglipError with code "device-lost" when a thread dies or a kernel fails, "disposed" when the
   * pool is disposed before it is over, "out-of-memory" where there is no room for the scratch areas.
   */
  run(list: Prepared, signal?: AbortSignal): Promise<void> {
    if (this.closed) return Promise.reject(this.closed);
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const abort = () => {
        if (this.running === job) return this.crew.stop();
        this.jobs.splice(this.jobs.indexOf(job), 1);
        reject(signal!.reason);
      };
      const job: Job = {
        list,
        signal,
        settle(failure) {
          signal?.removeEventListener("abort", abort);
          if (failure) reject(failure.reason);
          else resolve();
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.jobs.push(job);
      this.turn();
    });
  }

  /** Ends the threads. Runs that are not over reject, and so does every later one. */
  dispose(): void {
    this.close(mismatch("disposed", "wasm", "a backend in use", "one that was disposed", "load the model again"));
  }

  /** Starts the next job, when none runs. */
  private async turn(): Promise<void> {
    if (this.running || this.jobs.length === 0) return;
    const job = this.jobs.shift()!;
    this.running = job;
    let failure: { reason: unknown } | undefined;
    try {
      this.reserve(job.list.scratch);
    } catch (reason) {
      failure = { reason };
    }
    if (!failure && job.list.pointer !== job.list.end) {
      await this.crew.run(job.list, this.scratch).catch((error) => this.lose(String(error)));
    }
    // A pool that was closed meanwhile has told its jobs so.
    if (this.closed) return;
    this.running = undefined;
    job.settle(job.signal?.aborted ? { reason: job.signal.reason } : failure);
    this.turn();
  }

  /** Gives every thread so many bytes of its own, rounded up so that no two share a cache line. */
  private reserve(bytes: number): void {
    if (bytes <= this.scratch.bytes) return;
    const stride = Math.ceil(bytes / 128) * 128;
    if (this.scratch.bytes > 0) this.memory.free(this.scratch.pointer);
    this.scratch = { pointer: 0, bytes: 0 };
    this.scratch = { pointer: this.memory.alloc(stride * this.threads), bytes: stride };
  }

  private lose(why: string): void {
    if (this.closed) return;
    this.close(mismatch("device-lost", "wasm", "threads that run", why, "call again"));
  }

  private close(error: SiglipError): void {
    if (this.closed) return;
    this.closed = error;
    this.crew.end();
    for (const job of [this.running, ...this.jobs.splice(0)]) job?.settle({ reason: error });
    this.running = undefined;
  }
}
