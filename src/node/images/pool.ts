import { availableParallelism } from "node:os";
import type { Patches, Recipe } from "../../image/patches.ts";
import type { Pixels } from "../../image/pixels.ts";
import { type Job, type Made, type PictureFile, type Task, Thread } from "./thread.ts";

/** More threads than this wait for memory more than they decode. */
const MOST_THREADS = Math.min(4, availableParallelism());

/** What a thread is given at a time: while it is at one picture the next has arrived. */
const GIVEN = 2;

/** How many pictures wait for each thread before one more is started, which takes as long as a small picture or two. */
const BACKLOG = 4;

const threads: Thread[] = [];
const queue: Job[] = [];

/** How many threads there are. */
export function started(): number {
  return threads.length;
}

/**
 * Runs a task in a thread of its own, so that a picture holds up nobody; the more wait, the more threads there are, up to four.
 * Rejects with a decoder's SiglipErrors, with the signal's reason, and with an Error where no thread can be started or one ends.
 */
export function run(task: { picture: PictureFile }, signal?: AbortSignal): Promise<Pixels>;
export function run(task: { picture: PictureFile | Pixels; recipe: Recipe }, signal?: AbortSignal): Promise<Patches>;
export async function run(task: Task, signal?: AbortSignal): Promise<Made> {
  signal?.throwIfAborted();
  let job: Job | undefined;
  try {
    return await new Promise<Made>((resolve, reject) => {
      job = { task, resolve, reject };
      if (signal) heed(signal, job);
      queue.push(job);
      distribute();
    });
  } finally {
    if (signal && job) forget(signal, job);
  }
}

/** Whose jobs a signal aborts. One listener for all of them: Node warns of more than ten. */
const heeded = new Map<AbortSignal, { readonly jobs: Set<Job>; readonly abort: () => void }>();

function heed(signal: AbortSignal, job: Job): void {
  let entry = heeded.get(signal);
  if (!entry) {
    const jobs = new Set<Job>();
    const abort = () => {
      for (const one of jobs) {
        const at = queue.indexOf(one);
        if (at >= 0) queue.splice(at, 1);
        one.reject(signal.reason);
      }
    };
    entry = { jobs, abort };
    heeded.set(signal, entry);
    signal.addEventListener("abort", abort, { once: true });
  }
  entry.jobs.add(job);
}

function forget(signal: AbortSignal, job: Job): void {
  const { jobs, abort } = heeded.get(signal)!;
  jobs.delete(job);
  if (jobs.size > 0) return;
  heeded.delete(signal);
  signal.removeEventListener("abort", abort);
}

/** Gives out what waits, to the thread that has least; starts one where too much waits. */
function distribute(): void {
  if (threads.length < MOST_THREADS && queue.length > 0) {
    const given = threads.reduce((sum, { jobs }) => sum + jobs.size, 0);
    if (queue.length + given > BACKLOG * threads.length) start();
  }
  while (queue.length > 0 && threads.length > 0) {
    const free = threads.reduce((least, one) => (one.jobs.size < least.jobs.size ? one : least));
    if (free.jobs.size >= GIVEN) return;
    free.give(queue.shift()!);
  }
}

function start(): void {
  try {
    const thread: Thread = new Thread(distribute, (cause) => end(thread, cause));
    threads.push(thread);
  } catch (cause) {
    // Those that there are go on; without any, nobody would ever answer.
    if (threads.length === 0) for (const { reject } of queue.splice(0)) reject(cause);
  }
}

/** A thread has died: of the picture that it was at. What else it was given, another one does. */
function end(thread: Thread, cause: Error): void {
  const at = threads.indexOf(thread);
  if (at < 0) return;
  threads.splice(at, 1);
  const [culprit, ...others] = thread.jobs.values();
  thread.jobs.clear();
  queue.unshift(...others);
  culprit?.reject(cause);
  distribute();
}
