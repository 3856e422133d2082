import { SiglipError } from "../../error.ts";
import { type Kernel, type Pipeline, Pipelines } from "./pipelines.ts";
import type { Choices } from "./specialise.ts";

/** One use of a kernel. */
export interface Dispatch {
  readonly pipeline: Pipeline;
  /** The uniform's words. Where `split` is set, one more is added: the first workgroup along y. */
  readonly words: readonly number[];
  /** Storage buffers in the order of the kernel's bindings. */
  readonly buffers: readonly GPUBuffer[];
  readonly groups: readonly [number, number, number];
  /** Floating point operations, roughly: what time is foretold by. */
  readonly work: number;
  /** Whether it may be run in pieces along y. */
  readonly split?: boolean;
}

type Command =
  | { readonly kind: "write"; readonly buffer: GPUBuffer; readonly data: Float32Array<ArrayBuffer> }
  | { readonly kind: "copy"; readonly from: GPUBuffer; readonly to: GPUBuffer; readonly bytes: number }
  | ({ readonly kind: "dispatch" } & Dispatch);

/**
 * Seconds of work in one submit. Long enough that submitting costs nothing beside it, short enough that a screen stays alive,
 * no watchdog strikes and an abort takes effect.
 */
const BUDGET = 0.25;

/** Operations a second that a device is credited with before it has shown its own: that of a small software adapter. */
const FIRST_RATE = 1e9;

/**
 * Work for a device: recorded by synchronous calls; compiled, encoded and submitted when something is read, in as few submits
 * as a budget of time allows on this device.
 */
export class Queue {
  readonly device: GPUDevice;
  /** Bytes of all buffers made here and not destroyed. */
  bytes = 0;
  /** Submits so far. */
  submits = 0;
  private commands: Command[] = [];
  private running: Promise<void> = Promise.resolve();
  private failure: SiglipError | undefined;
  private rate = FIRST_RATE;
  private readonly pipelines: Pipelines;
  private readonly buffers = new Set<GPUBuffer>();
  private readonly staging: GPUBuffer[] = [];

  constructor(device: GPUDevice) {
    this.device = device;
    this.pipelines = new Pipelines(device, (bytes, usage) => this.buffer(bytes, usage));
    device.lost.then((info) => {
      this.failure ??= new SiglipError(
        `The WebGPU device was wanted but it was lost (${info.reason}: ${info.message}); load the model again.`,
      );
    });
  }

  /** A zeroed buffer that counts towards `bytes`. */
  buffer(bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const buffer = this.device.createBuffer({ size: Math.max(16, Math.ceil(bytes / 4) * 4), usage });
    this.buffers.add(buffer);
    this.bytes += buffer.size;
    return buffer;
  }

  /** A buffer of constants, one for all uses of the same contents. */
  constant(words: readonly number[], usage: GPUBufferUsageFlags): GPUBuffer {
    return this.pipelines.constant(words, usage);
  }

  /** The pipeline of a kernel variant; it compiles in the background until work is submitted. */
  pipeline(kernel: Kernel, choices: Choices): Pipeline {
    return this.pipelines.get(kernel, choices);
  }

  /** Records host data to be written at this point of the work. The array must not change afterwards. */
  write(buffer: GPUBuffer, data: Float32Array<ArrayBuffer>): void {
    this.record({ kind: "write", buffer, data });
  }

  dispatch(dispatch: Dispatch): void {
    this.record({ kind: "dispatch", ...dispatch });
  }

  /** The first `bytes` of a buffer as they are at this point of the recorded work, which runs now. */
  async read(buffer: GPUBuffer, bytes: number, signal?: AbortSignal): Promise<ArrayBuffer> {
    const staging = this.takeStaging(bytes);
    this.record({ kind: "copy", from: buffer, to: staging, bytes });
    const commands = this.commands;
    this.commands = [];
    const done = this.running.then(() => this.run(commands, signal));
    this.running = done.catch(() => {});
    try {
      await done;
      await staging.mapAsync(GPUMapMode.READ, 0, bytes);
    } catch (error) {
      this.staging.push(staging);
      throw this.failure ?? error;
    }
    this.check();
    const contents = staging.getMappedRange(0, bytes).slice(0);
    staging.unmap();
    this.staging.push(staging);
    return contents;
  }

  /** Destroys every buffer; whatever is recorded or waiting rejects. */
  dispose(): void {
    this.failure ??= new SiglipError(
      "A result was wanted but the webgpu backend has been disposed; load the model again.",
    );
    this.commands = [];
    for (const buffer of this.buffers) buffer.destroy();
    this.buffers.clear();
    this.bytes = 0;
  }

  /** Throws what made the device unusable, if anything did. */
  check(): void {
    if (this.failure) throw this.failure;
  }

  private record(command: Command): void {
    this.check();
    this.commands.push(command);
  }

  private async run(commands: readonly Command[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const compiled = new Map<Pipeline, GPUComputePipeline>();
    for (const command of commands) {
      if (command.kind !== "dispatch" || compiled.has(command.pipeline)) continue;
      compiled.set(command.pipeline, await command.pipeline.compiled.catch((error) => this.fail("compile", error)));
    }
    this.check();
    const pieces = this.cut(commands);
    for (const [index, piece] of pieces.entries()) {
      signal?.throwIfAborted();
      this.check();
      await this.submit(piece, compiled, index < pieces.length - 1);
    }
  }

  /** Commands in portions of at most the budget, dispatches that exceed it by themselves cut along y. */
  private cut(commands: readonly Command[]): Command[][] {
    const most = this.rate * BUDGET;
    const portions: Command[][] = [[]];
    let load = 0;
    const add = (command: Command, work: number) => {
      if (load > 0 && load + work > most) {
        portions.push([]);
        load = 0;
      }
      portions.at(-1)!.push(command);
      load += work;
    };
    for (const command of commands) {
      if (command.kind !== "dispatch") add(command, 0);
      else if (!command.split) add(command, command.work);
      else {
        const [across, down, deep] = command.groups;
        const step = Math.max(1, Math.min(down, Math.floor((most / command.work) * down)));
        for (let first = 0; first < down; first += step) {
          const part = Math.min(step, down - first);
          const groups = [across, part, deep] as const;
          add({ ...command, words: [...command.words, first], groups }, (command.work * part) / down);
        }
      }
    }
    return portions;
  }

  /** Encodes and submits; waits for the device, to learn its speed, when more is to follow or the work was long. */
  private async submit(
    commands: readonly Command[],
    compiled: ReadonlyMap<Pipeline, GPUComputePipeline>,
    more: boolean,
  ): Promise<void> {
    const { device } = this;
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    const began = performance.now();
    this.encode(commands, compiled);
    const errors = Promise.all([device.popErrorScope(), device.popErrorScope()]);
    if (more) {
      await device.queue.onSubmittedWorkDone();
      const work = commands.reduce((sum, command) => sum + (command.kind === "dispatch" ? command.work : 0), 0);
      // Half old, half new: one odd measurement does not make the next submit ten times too long.
      if (work > 0) this.rate = this.rate / 2 + work / ((performance.now() - began) / 1000) / 2;
    }
    const error = (await errors).find((found) => found);
    if (error) this.fail("run", error);
  }

  private encode(commands: readonly Command[], compiled: ReadonlyMap<Pipeline, GPUComputePipeline>): void {
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
      this.submits++;
      encoder = undefined;
    };
    for (const command of commands) {
      if (command.kind === "write") {
        submit();
        this.device.queue.writeBuffer(command.buffer, 0, command.data);
        continue;
      }
      encoder ??= this.device.createCommandEncoder();
      if (command.kind === "copy") {
        endPass();
        encoder.copyBufferToBuffer(command.from, 0, command.to, 0, command.bytes);
      } else {
        const uniform = this.constant(command.words, GPUBufferUsage.UNIFORM);
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
      `The WebGPU device was asked to ${what} a kernel and failed (${error.message}); load the model again with backend "cpu" or report this.`,
    );
    throw this.failure;
  }

  private takeStaging(bytes: number): GPUBuffer {
    const index = this.staging.findIndex((buffer) => buffer.size >= bytes);
    if (index >= 0) return this.staging.splice(index, 1)[0];
    return this.buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  }
}
