import { mismatch, SiglipError } from "../support/error.ts";
import { type BufferPlan, planBuffers } from "./buffer-plan.ts";
import type { RowChunk, WeightSpec } from "./packing.ts";
import type { Program, Slot, Weight, WeightDType } from "./program.ts";
import { padded, rowCount, show, size } from "./shape.ts";

/** What a program is run with: its inputs by name, row-major, rows as they are or each padded with zeros to a multiple of 32. */
export type Inputs = Readonly<Record<string, Float32Array>>;

/** What comes out: the outputs by name, row-major without padding. */
export type Outputs = Readonly<Record<string, Float32Array>>;

/** What suits a backend where the caller says nothing. */
export interface Defaults {
  readonly dtype: WeightDType;
  /** Pictures that go through a tower together. */
  readonly images: number;
  /** Texts that do. */
  readonly texts: number;
}

/** How long the event loop is kept waiting, in milliseconds. */
const TURN = 30;

/**
 * What runs programs: it holds weights by name, and buffers. This class is what all backends have in common: inputs are checked,
 * runs take turns, and an aborted signal or `dispose` ends what is under way.
 */
export abstract class Backend {
  /** By which users choose it. */
  abstract readonly name: string;
  abstract readonly defaults: Defaults;
  /** How weights may be stored. */
  abstract readonly dtypes: readonly WeightDType[];
  /** The most elements a value may have; a batch whose activations would exceed it is to be run in parts. */
  abstract readonly maxElements: number;
  /** Bytes this backend holds at present: weights, activations kept for reuse, staging. */
  abstract readonly bytes: number;
  /** Its device is gone (a driver's reset, a page in the background): every call rejects, and only a new backend helps. */
  abstract readonly lost: boolean;
  private disposed = false;
  private running: Promise<unknown> = Promise.resolve();
  private turned = 0;
  private readonly plans = new WeakMap<Program, BufferPlan>();

  /**
   * Stores a matrix while its rows arrive. Resolves when `rows` is used up; awaiting it is the back-pressure. One at a time, and
   * not while a program runs. A chunk's bytes may change once the next is asked for.
   */
  abstract weight(spec: WeightSpec, rows: AsyncIterable<RowChunk>): Promise<void>;

  /** Stores a small float32 tensor, row-major; not while a program runs. */
  abstract constant(weight: Weight, data: Float32Array): void;

  /**
   * Resolves when all weights given so far are stored, and frees what that took. Rejects with a SiglipError that names a
   * weight which was rounded and had a value that is not finite, where `weight` has not done so.
   */
  abstract loaded(): Promise<void>;

  /** Runs a program whose inputs have been checked; nothing else of this backend's runs meanwhile. */
  protected abstract execute(program: Program, inputs: Inputs, signal?: AbortSignal): Promise<Outputs>;

  /** Frees everything; what is under way is to reject soon. */
  protected abstract free(): void;

  /**
   * Runs a program, after those that were asked for before it. The inputs must not change meanwhile. Rejects with the signal's
   * reason when that aborts, with a SiglipError for inputs that do not fit, and after `dispose`.
   */
  async run(program: Program, inputs: Inputs, signal?: AbortSignal): Promise<Outputs> {
    checkInputs(program, inputs);
    const run = this.running.then(async () => {
      this.check(signal);
      this.turned = performance.now();
      const outputs = await this.execute(program, inputs, signal);
      this.check(signal);
      return outputs;
    });
    this.running = run.catch(() => {});
    return run;
  }

  /** Frees everything. Later calls, and runs that have not ended, reject. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.free();
  }

  /** A program's plan of buffers, made once; `bytesOf` is what a value takes. */
  protected plan(program: Program, bytesOf: (value: Slot) => number): BufferPlan {
    let plan = this.plans.get(program);
    if (!plan) {
      plan = planBuffers(program, bytesOf);
      this.plans.set(program, plan);
    }
    return plan;
  }

  /** Throws where the backend has been disposed or the signal is aborted. */
  protected check(signal?: AbortSignal): void {
    if (this.disposed) {
      const message = `A result was wanted but the ${this.name} backend has been disposed; load the model again.`;
      throw new SiglipError(message, { code: "disposed" });
    }
    signal?.throwIfAborted();
  }

  /** To be awaited between pieces of work on this thread: gives the event loop a turn where it has waited long, and checks. */
  protected async pause(signal?: AbortSignal): Promise<void> {
    if (performance.now() - this.turned > TURN) {
      await new Promise((resolve) => setTimeout(resolve));
      this.turned = performance.now();
    }
    this.check(signal);
  }
}

function checkInputs({ values }: Program, inputs: Inputs): void {
  for (const { input, shape } of values) {
    if (input === undefined) continue;
    const found = inputs[input]?.length;
    if (found === size(shape) || found === rowCount(shape) * padded(shape.at(-1)!)) continue;
    throw mismatch("bad-input", input, `${size(shape)} values for ${show(shape)}`, `${found}`, "check the input");
  }
}

/** Throws a SiglipError unless data has as many elements as the weight's shape says. */
export function checkConstant({ name, shape }: Weight, data: Float32Array): void {
  if (data.length === size(shape)) return;
  throw mismatch("bad-input", name, `${size(shape)} values for ${show(shape)}`, `${data.length}`, "check the weight");
}
