import { wgsl } from "../../../kernels/wgsl.ts";
import { SiglipError } from "../../error.ts";
import { type Choices, specialise } from "./specialise.ts";

/** The bindings of every kernel, in the order of its `@binding`s: uniform, read-only or writable storage. */
const BINDINGS = {
  linear: "urrrrrw",
  linear_direct: "urrrrrw",
  layer_norm: "urrrw",
  attention: "urrrw",
  rows: "urrw",
} as const;

export type Kernel = keyof typeof BINDINGS;

type Command =
  | { kind: "write"; buffer: GPUBuffer; data: Float32Array<ArrayBuffer> }
  | { kind: "copy"; from: GPUBuffer; to: GPUBuffer; bytes: number }
  | { kind: "dispatch"; pipeline: Pipeline; bind: GPUBindGroup; groups: readonly [number, number, number] };

/** A compiled kernel, or one that is being compiled. */
export interface Pipeline {
  readonly key: string;
  readonly layout: GPUBindGroupLayout;
  readonly compiled: Promise<GPUComputePipeline>;
}

/** Bind groups and small constants kept before they are dropped and made anew. */
const KEPT = 8192;

/**
 * Work for a device: recorded by synchronous calls, compiled, encoded and submitted together when something is read.
 * Pipelines, bind groups and small constant buffers are made once and kept.
 */
export class Queue {
  readonly device: GPUDevice;
  /** Bytes of all buffers made here and not destroyed. */
  bytes = 0;
  private commands: Command[] = [];
  private scheduled: Promise<void> | undefined;
  private running: Promise<void> = Promise.resolve();
  private failure: SiglipError | undefined;
  private readonly layouts = new Map<string, GPUBindGroupLayout>();
  private readonly pipelines = new Map<string, Pipeline>();
  private readonly binds = new Map<string, GPUBindGroup>();
  private readonly constants = new Map<string, GPUBuffer>();
  private readonly ids = new WeakMap<GPUBuffer, number>();
  private readonly buffers = new Set<GPUBuffer>();
  private readonly staging: GPUBuffer[] = [];
  private lastId = 0;

  constructor(device: GPUDevice) {
    this.device = device;
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
  constant(words: Uint32Array<ArrayBuffer>, usage: GPUBufferUsageFlags): GPUBuffer {
    const key = `${usage}:${words}`;
    let buffer = this.constants.get(key);
    if (!buffer) {
      if (this.constants.size >= KEPT) this.forget();
      buffer = this.buffer(words.byteLength, usage | GPUBufferUsage.COPY_DST);
      this.device.queue.writeBuffer(buffer, 0, words);
      this.constants.set(key, buffer);
    }
    return buffer;
  }

  /** The pipeline of a kernel variant; it compiles in the background until work is submitted. */
  pipeline(kernel: Kernel, choices: Choices): Pipeline {
    const key = `${kernel} ${JSON.stringify(choices)}`;
    let pipeline = this.pipelines.get(key);
    if (!pipeline) {
      const layout = this.layout(BINDINGS[kernel]);
      const compiled = this.device.createComputePipelineAsync({
        label: key,
        layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: {
          module: this.device.createShaderModule({ label: key, code: specialise(wgsl[kernel], choices) }),
          entryPoint: "main",
        },
      });
      compiled.catch(() => {}); // reported where it is awaited
      pipeline = { key, layout, compiled };
      this.pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  /** Records host data to be written at this point of the work. The array must not change afterwards. */
  write(buffer: GPUBuffer, data: Float32Array<ArrayBuffer>): void {
    this.check();
    this.commands.push({ kind: "write", buffer, data });
  }

  /** Records one dispatch; `buffers` in the order of the kernel's bindings. */
  dispatch(pipeline: Pipeline, buffers: readonly GPUBuffer[], groups: readonly [number, number, number]): void {
    this.check();
    const key = `${pipeline.layout.label} ${buffers.map((buffer) => this.id(buffer))}`;
    let bind = this.binds.get(key);
    if (!bind) {
      if (this.binds.size >= KEPT) this.binds.clear();
      const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
      bind = this.device.createBindGroup({ layout: pipeline.layout, entries });
      this.binds.set(key, bind);
    }
    this.commands.push({ kind: "dispatch", pipeline, bind, groups });
  }

  /** The first `bytes` of a buffer as they are at this point of the recorded work. */
  async read(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    this.check();
    const staging = this.takeStaging(bytes);
    this.commands.push({ kind: "copy", from: buffer, to: staging, bytes });
    try {
      await this.flush();
      await staging.mapAsync(GPUMapMode.READ, 0, bytes);
    } catch (error) {
      throw this.failure ?? error;
    }
    if (this.failure) throw this.failure;
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

  /** Submits what has been recorded until the end of the present turn. */
  private flush(): Promise<void> {
    this.scheduled ??= Promise.resolve().then(() => {
      this.scheduled = undefined;
      const commands = this.commands;
      this.commands = [];
      this.running = this.running.then(() => this.submit(commands));
      return this.running;
    });
    return this.scheduled;
  }

  private async submit(commands: readonly Command[]): Promise<void> {
    const compiled = new Map<Pipeline, GPUComputePipeline>();
    for (const command of commands) {
      if (command.kind !== "dispatch" || compiled.has(command.pipeline)) continue;
      compiled.set(command.pipeline, await command.pipeline.compiled.catch((error) => this.fail("compile", error)));
    }
    this.check();
    this.device.pushErrorScope("validation");
    this.device.pushErrorScope("out-of-memory");
    this.encode(commands, compiled);
    const errors = await Promise.all([this.device.popErrorScope(), this.device.popErrorScope()]);
    const error = errors.find((found) => found);
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
      if (encoder) this.device.queue.submit([encoder.finish()]);
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
        pass ??= encoder.beginComputePass();
        pass.setPipeline(compiled.get(command.pipeline)!);
        pass.setBindGroup(0, command.bind);
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

  private layout(kinds: string): GPUBindGroupLayout {
    let layout = this.layouts.get(kinds);
    if (!layout) {
      const types = { u: "uniform", r: "read-only-storage", w: "storage" } as const;
      const entries = [...kinds].map((kind, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: types[kind as keyof typeof types] },
      }));
      layout = this.device.createBindGroupLayout({ label: kinds, entries });
      this.layouts.set(kinds, layout);
    }
    return layout;
  }

  private id(buffer: GPUBuffer): number {
    let id = this.ids.get(buffer);
    if (id === undefined) {
      id = ++this.lastId;
      this.ids.set(buffer, id);
    }
    return id;
  }

  private takeStaging(bytes: number): GPUBuffer {
    const index = this.staging.findIndex((buffer) => buffer.size >= bytes);
    if (index >= 0) return this.staging.splice(index, 1)[0];
    return this.buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  }

  /** Drops constants and what is bound to them. Recorded work holds on to what it needs. */
  private forget(): void {
    for (const buffer of this.constants.values()) {
      this.buffers.delete(buffer);
      this.bytes -= buffer.size;
    }
    this.constants.clear();
    this.binds.clear();
  }
}
