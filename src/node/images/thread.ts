import { Worker } from "node:worker_threads";
import type { Patches, Recipe } from "../../image/patches.ts";
import type { Pixels } from "../../image/pixels.ts";
import { type ErrorCode, SiglipError } from "../../support/error.ts";
import type { Kind } from "./kinds.ts";
import { script } from "./worker.generated.ts";

/** A picture file that a thread is to decode. */
export interface PictureFile {
  readonly bytes: Uint8Array;
  readonly kind: Kind;
  /** For messages. */
  readonly name: string;
  readonly maxPixels: number;
  /** Where the package lies that decodes this kind, if it is not one of those that every thread carries. */
  readonly codec?: string;
}

/** A picture, and what is to become of it: upright pixels, or patches where there is a recipe. */
export interface Task {
  readonly picture: PictureFile | Pixels;
  readonly recipe?: Recipe;
}

/** What a thread makes of a task. */
export type Made = Pixels | Patches;

/** A task as it is posted. */
export interface Request extends Task {
  readonly id: number;
}

/** What became of it. */
export type Answer =
  | { readonly id: number; readonly made: Made }
  | { readonly id: number; readonly error: { readonly message: string; readonly code: ErrorCode | undefined } };

/** Which thread may decode a large picture, 0 for none, and who asks. */
export interface Turn {
  readonly holder: Int32Array;
  readonly thread: number;
}

/** A task that waits, or that a thread has. */
export interface Job {
  readonly task: Task;
  resolve(made: Made): void;
  reject(error: unknown): void;
}

/** Mebibytes for short-lived objects: pictures' bytes lie elsewhere, and what there is room for a thread takes in time. */
const YOUNG = 4;

const holder = new Int32Array(new SharedArrayBuffer(4));
let started = 0;

/** A thread that decodes pictures one after the other, as they were given to it. */
export class Thread {
  /** What it has been given and not answered, the first being what it is at. */
  readonly jobs = new Map<number, Job>();
  private readonly worker: Worker;
  private next = 0;

  /** `onFree` is called after every answer, `onEnd` once when the thread has failed. Throws where there can be no thread. */
  constructor(onFree: () => void, onEnd: (cause: Error) => void) {
    // From text, because bundles, single executables and TypeScript sources have no file that a thread could be started from;
    // without the loaders and inspectors of the process.
    const turn: Turn = { holder, thread: ++started };
    this.worker = new Worker(script, {
      eval: true,
      execArgv: [],
      name: "siglip-pictures",
      workerData: turn,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG },
    });
    this.worker.on("error", onEnd);
    this.worker.on("exit", (code) => {
      if (Atomics.compareExchange(holder, 0, turn.thread, 0) === turn.thread) Atomics.notify(holder, 0);
      onEnd(new Error(`the decoder's thread ended with code ${code}`));
    });
    this.worker.on("message", (answer: Answer) => {
      const job = this.jobs.get(answer.id);
      this.jobs.delete(answer.id);
      if (this.jobs.size === 0) this.worker.unref();
      if ("made" in answer) job?.resolve(answer.made);
      else {
        const { message, code } = answer.error;
        job?.reject(code ? new SiglipError(message, { code }) : new Error(message));
      }
      onFree();
    });
    this.worker.unref();
  }

  give(job: Job): void {
    const id = this.next++;
    this.jobs.set(id, job);
    // Only while somebody waits may the thread keep the process alive.
    this.worker.ref();
    const { picture, recipe } = job.task;
    // Copies: what was passed may lie in memory that is shared, that others use, or that a second try will need.
    if ("bytes" in picture) {
      const bytes = new Uint8Array(picture.bytes);
      this.worker.postMessage({ id, picture: { ...picture, bytes }, recipe } satisfies Request, [bytes.buffer]);
    } else {
      const data = new Uint8Array(picture.data);
      const { width, height } = picture;
      this.worker.postMessage({ id, picture: { width, height, data }, recipe } satisfies Request, [data.buffer]);
    }
  }
}
