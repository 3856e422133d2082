import { SiglipError } from "../../support/error.ts";
import type { ChosenForms, Trial } from "./choose.ts";
import { type Pipeline, Pipelines } from "./pipelines.ts";
import { Staging } from "./staging.ts";
import { type Command, portions, type Step, step, workOf } from "./steps.ts";
import { Trials } from "./trials.ts";

/**
 * Seconds of work in one submit. Long enough that submitting costs nothing beside it, short enough that a screen stays alive,
 * no watchdog strikes and an abort takes effect.
 */
const BUDGET = 0.25;

/** Operations a second that a device is credited with before it has shown its own: that of a small software adapter. */
const FIRST_RATE = 1e9;

/** Milliseconds within which a device says that it is lost, after a call has failed of it. */
const MOMENT = 100;

/** Work for a device: compiled, encoded and submitted in as few submits as a budget of time allows on this device. */
export class Queue {
  readonly device: GPUDevice;
  /** Bytes of all buffers made here and not destroyed. */
  bytes = 0;
  /** What made the device unusable. */
  failure: SiglipError | undefined;
  private readonly gone: Promise<void>;
  /** The device went away by itself. */
  lost = false;
  private rate = FIRST_RATE;
  readonly pipelines: Pipelines;
  private readonly buffers = new Set<GPUBuffer>();
  private readonly staging: Staging;
  private readonly chooser: Trials;

  constructor(device: GPUDevice, chosen?: ChosenForms) {
    this.device = device;
    this.pipelines = new Pipelines(
      device,
      (bytes, usage) => this.buffer(bytes, usage),
      (buffer) => this.free(buffer),
    );
    this.staging = new Staging(
      (bytes, usage) => this.buffer(bytes, usage),
      (buffer) => this.free(buffer),
    );
    this.chooser = new Trials(chosen, device, this.staging, (steps) => this.submit(steps));
    this.gone = whenLost(device, new WeakRef(this));
  }

  /** Trials of this session, by key. */
  get trials(): ReadonlyMap<string, readonly Trial[]> {
    return this.chooser.trials;
  }

  /** A zeroed buffer that counts towards `bytes`. Where there is no room for it, the next submit rejects. */
  buffer(bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const { buffer, failed } = this.tryBuffer(bytes, usage);
    failed.then(
      (full) => {
        if (!full) return;
        this.failure ??= new SiglipError(
          `${bytes} bytes more were wanted on the device beside the ${this.bytes} held, found no room; load again and embed fewer at a time (batch).`,
          { code: "out-of-memory" },
        );
      },
      () => {}, // of a lost device, told where it is used
    );
    return buffer;
  }

  /** A zeroed buffer that counts towards `bytes`, unless it turns out that there was no room for it. */
  tryBuffer(bytes: number, usage: GPUBufferUsageFlags): { buffer: GPUBuffer; failed: Promise<boolean> } {
    const { device } = this;
    device.pushErrorScope("out-of-memory");
    const buffer = device.createBuffer({ size: Math.max(16, Math.ceil(bytes / 4) * 4), usage });
    this.buffers.add(buffer);
    this.bytes += buffer.size;
    const failed = device.popErrorScope().then(
      (error) => {
        if (error && this.buffers.delete(buffer)) {
          buffer.destroy();
          this.bytes -= buffer.size;
        }
        return error !== null;
      },
      async (error) => {
        throw await this.explain(error);
      },
    );
    return { buffer, failed };
  }

  /** Destroys a buffer once what has been submitted is done with it. */
  free(buffer: GPUBuffer): void {
    if (!this.buffers.delete(buffer)) return;
    buffer.destroy();
    this.bytes -= buffer.size;
  }

  /**
   * Runs commands in order and resolves with the first bytes of buffers as they are then. When the signal aborts, what has not
   * been submitted is dropped and the promise rejects.
   */
  async run(
    commands: readonly Command[],
    reads: readonly { readonly buffer: GPUBuffer; readonly bytes: number }[],
    signal?: AbortSignal,
  ): Promise<ArrayBuffer[]> {
    for (const command of commands) if (command.kind === "dispatch") this.chooser.prepare(command.dispatch);
    const taken = reads.map(({ bytes }) => this.staging.take(bytes));
    const copies = reads.map(
      ({ buffer, bytes }, index): Command => ({ kind: "copy", from: buffer, at: 0, to: taken[index], toAt: 0, bytes }),
    );
    try {
      await this.runAll([...commands, ...copies], signal);
      return await Promise.all(reads.map(({ bytes }, index) => this.staging.read(taken[index], bytes)));
    } catch (error) {
      throw signal?.aborted ? signal.reason : await this.explain(error);
    } finally {
      for (const buffer of taken) this.staging.give(buffer);
    }
  }

  /** Destroys every buffer; what runs or waits rejects. */
  dispose(): void {
    this.failure ??= new SiglipError(
      "A result was wanted but the webgpu backend has been disposed; load the model again.",
      { code: "disposed" },
    );
    for (const buffer of this.buffers) buffer.destroy();
    this.buffers.clear();
    this.bytes = 0;
    // Dawn frees a destroyed buffer that was written to with the next submit, which on a shared device may be far off.
    this.device.queue.submit([]);
  }

  /** What made the device unusable, which may become known a moment after a call that failed of it; else `error`. */
  private async explain(error: unknown): Promise<unknown> {
    if (!(error instanceof SiglipError)) {
      await Promise.race([this.gone, new Promise((resolve) => setTimeout(resolve, MOMENT))]);
    }
    return this.failure ?? error;
  }

  /** Throws what made the device unusable, if anything did. */
  check(): void {
    if (this.failure) throw this.failure;
  }

  private async runAll(commands: readonly Command[], signal?: AbortSignal): Promise<void> {
    let steps: Step[] = [];
    for (const command of commands) {
      if (command.kind !== "dispatch") {
        steps.push(command);
        continue;
      }
      const { dispatch } = command;
      if (dispatch.forms.length > 1 && !(await this.chooser.chosen(dispatch))) {
        // A trial wants the inputs that the work before it makes.
        await this.submitAll(steps, signal);
        steps = [];
        await this.chooser.choose(dispatch, signal);
      }
      steps.push(step(dispatch, (await this.chooser.chosen(dispatch)) ?? dispatch.forms[0]));
    }
    await this.submitAll(steps, signal);
  }

  /** Submits in portions that fit the budget, and waits between them to learn the device's speed. */
  private async submitAll(steps: readonly Step[], signal?: AbortSignal): Promise<void> {
    let last: { began: number; work: number } | undefined;
    const budget = async () => {
      if (last) {
        await this.device.queue.onSubmittedWorkDone();
        // A coarse clock may not have moved: a rate without bound would never come down again.
        const seconds = Math.max(performance.now() - last.began, 1) / 1000;
        // Half old, half new: one odd measurement does not make the next submit ten times too long.
        if (last.work > 0) this.rate = this.rate / 2 + last.work / seconds / 2;
      }
      return this.rate * BUDGET;
    };
    for await (const portion of portions(steps, budget)) {
      signal?.throwIfAborted();
      this.check();
      last = { began: performance.now(), work: portion.reduce((sum, one) => sum + workOf(one), 0) };
      await this.submit(portion);
    }
  }

  private async submit(steps: readonly Step[]): Promise<void> {
    const { device } = this;
    const compiled = new Map<Pipeline, GPUComputePipeline>();
    for (const one of steps) {
      if (one.kind !== "run" || compiled.has(one.pipeline)) continue;
      compiled.set(one.pipeline, await this.compiled(one.pipeline));
    }
    this.check();
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    this.pipelines.trim();
    this.encode(steps, compiled);
    const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const error = errors.find((found) => found);
    if (error) this.fail("run", error);
  }

  /** A pipeline that has been compiled. */
  compiled(pipeline: Pipeline): Promise<GPUComputePipeline> {
    return pipeline.compiled.catch((error) => this.fail("compile", error));
  }

  /** Submits steps as they are. */
  encode(steps: readonly Step[], compiled: ReadonlyMap<Pipeline, GPUComputePipeline>): void {
    let encoder: GPUCommandEncoder | undefined;
    let pass: GPUComputePassEncoder | undefined;
    const endPass = () => {
      pass?.end();
      pass = undefined;
    };
    const submit = () => {
      endPass();
      if (!encoder) return;
      this.device.queue.submit([encoder.finish()]);
      encoder = undefined;
    };
    for (const command of steps) {
      if (command.kind === "write") {
        submit();
        this.device.queue.writeBuffer(command.buffer, 0, command.data);
        continue;
      }
      encoder ??= this.device.createCommandEncoder();
      if (command.kind === "clear") {
        endPass();
        encoder.clearBuffer(command.buffer, 0, command.bytes);
      } else if (command.kind === "copy") {
        endPass();
        encoder.copyBufferToBuffer(command.from, command.at, command.to, command.toAt, command.bytes);
      } else {
        const uniform = this.pipelines.constant(command.words);
        pass ??= encoder.beginComputePass();
        pass.setPipeline(compiled.get(command.pipeline)!);
        pass.setBindGroup(0, this.pipelines.bind(command.pipeline, [uniform, ...command.buffers]));
        pass.dispatchWorkgroups(...command.groups);
      }
    }
    submit();
  }

  private fail(what: string, error: { message: string }): never {
    this.failure ??= new SiglipError(
      `The WebGPU device was asked to ${what} a kernel and failed (${error.message}); load with backend "wasm" or report this.`,
      { code: "no-device" },
    );
    throw this.failure;
  }
}

/**
 * Tells a queue that its device went away by itself. A device may outlive many queues, and its promise would keep them all, so
 * it holds them weakly; the closure is made here because one made in the constructor would hold `this`.
 */
async function whenLost(device: GPUDevice, weak: WeakRef<Queue>): Promise<void> {
  const { reason, message } = await device.lost;
  const queue = weak.deref();
  if (!queue || queue.failure) return;
  queue.lost = true;
  const why = [reason, message].filter(Boolean).join(": ");
  queue.failure = new SiglipError(`The WebGPU device was wanted but it was lost (${why}); call again.`, {
    code: "device-lost",
  });
}
