import { mismatch } from "../../support/error.ts";
import { Backend, checkConstant, type Inputs, type Outputs } from "../backend.ts";
import { cutRows, padRows, type RowChunk, type WeightSpec } from "../packing.ts";
import type { Program, Slot, Weight } from "../program.ts";
import { padded, rowCount, type Shape, show } from "../shape.ts";
import { Arena } from "./arena.ts";
import { decode, type Trial } from "./choose.ts";
import { capabilitiesOf, isSoftware } from "./device.ts";
import { commandsOf, type Site } from "./dispatches.ts";
import type { WebGpuOptions } from "./options.ts";
import { Queue } from "./queue.ts";
import type { Command } from "./steps.ts";
import { bytesOf, type Storage, type Stored, strideOf } from "./stored.ts";
import { ATTENTION, type Capabilities, LINEAR } from "./tiles.ts";
import { Uploads } from "./uploads.ts";
import { rowBytes } from "./weights.ts";

/** STORAGE, COPY_DST and COPY_SRC, whose names exist only where WebGPU does. */
const USAGE = 0x80 | 0x08 | 0x04;

/** A program on the device: what runs between writing its inputs and reading its outputs. */
interface Compiled {
  /** Of the arena's buffers, which it holds. */
  readonly generation: number;
  readonly values: readonly (Stored & { readonly storage: Storage })[];
  readonly commands: readonly Command[];
}

/** Programs on a WebGPU device: everything between inputs and outputs stays there. */
export class WebGpuBackend extends Backend {
  readonly name = "webgpu";
  readonly defaults = { dtype: "f16", images: 8, texts: 32 } as const;
  readonly dtypes = ["f32", "f16", "q8", "q4"] as const;
  readonly maxElements: number;
  /** Precision of activations between operations. */
  readonly activations: Storage;
  private readonly capabilities: Capabilities;
  private readonly pinned: WebGpuOptions;
  private readonly queue: Queue;
  private readonly arena: Arena;
  private readonly uploads: Uploads;
  private readonly weights = new Map<string, Stored>();
  private readonly compiled = new WeakMap<Program, Compiled>();

  /** `dispose` frees all buffers made here, but not the device. */
  constructor(device: GPUDevice, { activations = "f32", chosen, rounding, threading, ...pinned }: WebGpuOptions = {}) {
    super();
    if (activations === "f16" && !device.features.has("shader-f16")) {
      throw mismatch("no-device", "activations", `a device with shader-f16 for "f16"`, "none", `use "f32"`);
    }
    for (const [what, name, known] of [
      ["linear", pinned.linear, LINEAR],
      ["attention", pinned.attention, ATTENTION],
    ] as const) {
      if (name === undefined || Object.hasOwn(known, name)) continue;
      const wanted = `one of ${Object.keys(known).join(", ")}`;
      throw mismatch("bad-input", `forms.${what}`, wanted, JSON.stringify(name), "pin one of these");
    }
    this.pinned = pinned;
    this.activations = activations;
    this.capabilities = capabilitiesOf(device, activations === "f16");
    this.queue = new Queue(device, chosen);
    this.uploads = new Uploads(this.queue, rounding ?? (isSoftware(device.adapterInfo) ? "host" : "device"), threading);
    this.maxElements = Math.floor(Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize) / 4);
    this.arena = new Arena(
      (bytes) => this.queue.buffer(bytes, USAGE),
      (buffer) => this.queue.free(buffer),
    );
  }

  get bytes(): number {
    return this.queue.bytes;
  }

  get lost(): boolean {
    return this.queue.lost;
  }

  /** Trials of this session: by operation, shape and precision, what each form took. */
  get trials(): ReadonlyMap<string, readonly Trial[]> {
    return this.queue.trials;
  }

  async weight(spec: WeightSpec, rows: AsyncIterable<RowChunk>): Promise<void> {
    const { name, shape, dtype } = spec;
    const stride = rowBytes(spec);
    const buffer = await this.allocate(spec, padded(shape[0]) * stride.codes);
    let scales: GPUBuffer | undefined;
    try {
      if (stride.scales) scales = await this.allocate(spec, padded(shape[0]) * stride.scales);
      await this.uploads.fill(spec, rows, buffer, scales);
    } catch (error) {
      for (const made of [buffer, scales]) if (made) this.queue.free(made);
      throw error;
    }
    this.keep(name, { shape, storage: dtype, buffer, scales });
  }

  constant(weight: Weight, data: Float32Array): void {
    checkConstant(weight, data);
    this.queue.check();
    const { name, shape } = weight;
    const width = shape.at(-1)!;
    const buffer = this.queue.buffer(this.activationBytes(shape, "f32"), USAGE);
    this.queue.device.queue.writeBuffer(buffer, 0, padRows(data, width, padded(width)));
    this.keep(name, { shape, storage: "f32", buffer });
  }

  loaded(): Promise<void> {
    return this.uploads.settle();
  }

  protected async execute(program: Program, inputs: Inputs, signal?: AbortSignal): Promise<Outputs> {
    this.queue.check();
    const { values, commands } = this.prepare(program);
    const writes = program.values.flatMap(({ id, input }): Command[] => {
      if (input === undefined) return [];
      return [{ kind: "write", buffer: values[id].buffer, data: paddedRows(inputs[input], values[id].shape) }];
    });
    const reads = program.outputs.map(({ value }) => {
      const { shape, storage, buffer } = values[value];
      return { buffer, bytes: this.activationBytes(shape, storage) };
    });
    const contents = await this.queue.run([...writes, ...commands], reads, signal);
    return Object.fromEntries(
      program.outputs.map(({ name, value }, index) => {
        const { shape, storage } = values[value];
        return [name, cutRows(decode(contents[index], storage), strideOf(values[value]), shape.at(-1)!)];
      }),
    );
  }

  protected free(): void {
    this.weights.clear();
    this.uploads.end();
    this.queue.dispose();
  }

  /** What stood under the name is dropped, and with it the commands that name it. */
  private keep(name: string, weight: Stored): void {
    const old = this.weights.get(name);
    if (old) {
      this.arena.generation++;
      this.queue.free(old.buffer);
      if (old.scales) this.queue.free(old.scales);
    }
    this.weights.set(name, weight);
  }

  /** A program's commands, made once for the buffers that there are. */
  private prepare(program: Program): Compiled {
    const storage = (value: Slot): Storage => (value.exact ? "f32" : this.activations);
    const plan = this.plan(program, (value) => this.activationBytes(value.shape, storage(value)));
    const buffers = this.arena.fit(plan);
    const known = this.compiled.get(program);
    if (known?.generation === this.arena.generation) return known;
    const values = program.values.map((value) => {
      if (value.weight) return this.at(value.weight) as Stored & { storage: Storage };
      return { shape: value.shape, storage: storage(value), buffer: buffers[plan.of[value.id]!] };
    });
    const { capabilities, pinned, activations } = this;
    const { pipelines } = this.queue;
    const site: Site = {
      ...{ pipelines, capabilities, pinned, activations },
      value: (id) => values[id],
      weight: (weight) => this.at(weight),
    };
    const commands = program.operations.flatMap((operation) => commandsOf(program, operation, site));
    const made = { generation: this.arena.generation, values, commands };
    this.compiled.set(program, made);
    return made;
  }

  private at({ name }: Weight): Stored {
    return this.weights.get(name)!;
  }

  /** Bytes of a value; throws where the device cannot bind so many. */
  private activationBytes(shape: Shape, storage: Storage): number {
    const bytes = rowCount(shape) * padded(shape.at(-1)!) * bytesOf(storage);
    if (bytes <= this.maxElements * 4) return bytes;
    const found = `a device that binds at most ${this.maxElements * 4}`;
    throw mismatch("out-of-memory", `A value of ${show(shape)}`, `${bytes} bytes`, found, "run the batch in parts");
  }

  private async allocate({ name, shape, dtype, smaller }: WeightSpec, bytes: number): Promise<GPUBuffer> {
    if (bytes > this.maxElements * 4) {
      const found = `a device that binds at most ${this.maxElements * 4}`;
      throw mismatch("out-of-memory", name, `${bytes} bytes for ${show(shape)}`, found, "choose a smaller dtype");
    }
    this.queue.check();
    const held = this.bytes;
    const { buffer, failed } = this.queue.tryBuffer(bytes, USAGE);
    if (!(await failed)) return buffer;
    const advice = smaller
      ? `load with dtype "${smaller.dtype}", which needs ${smaller.bytes} bytes for all weights`
      : `load one tower only, or with backend "wasm"`;
    const wanted = `${bytes} bytes more for ${show(shape)} as ${dtype} beside the ${held} held`;
    throw mismatch("out-of-memory", name, wanted, "no room on the device", advice);
  }
}

/** An input as the device has it. Memory shared with other threads is copied: it may change, and not every runtime takes it. */
function paddedRows(data: Float32Array, shape: Shape): Float32Array<ArrayBuffer> {
  const stride = padded(shape.at(-1)!);
  if (data.length !== rowCount(shape) * stride) return padRows(data, shape.at(-1)!, stride);
  return data.buffer instanceof ArrayBuffer ? (data as Float32Array<ArrayBuffer>) : data.slice();
}
