import { packStep, type WeightForm, weightBytes } from "../../../kernels/wasm/index.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import { Backend, checkConstant, type Inputs, type Outputs } from "../backend.ts";
import { checkChunk, cutRows, notFinite, type RowChunk, type WeightSpec, wrongRows } from "../packing.ts";
import { type Program, storedAs, type Weight, type WeightDType } from "../program.ts";
import { padded, rowCount, type Shape, size } from "../shape.ts";
import type { Kernels, Placed } from "./kernels.ts";
import type { Memory } from "./memory.ts";
import { inPanels } from "./panels.ts";
import type { Pool } from "./pool.ts";
import { type StoredWeight, stepsOf, temporaryOf } from "./steps.ts";

/** The form of a linear map for each way to store its weights. */
export type Forms = Readonly<Record<WeightDType, WeightForm>>;

/** A program in memory: its steps, and where its values lie. */
interface Compiled {
  /** Of the buffers that the steps name. */
  readonly generation: number;
  readonly list: Placed;
  readonly addresses: readonly number[];
  /** Blocks that only this program uses: row numbers. */
  readonly blocks: readonly number[];
}

/** A part of the memory that is used again; it is empty at first. */
interface Block {
  address: number;
  bytes: number;
}

/** Programs kept in memory, each for a tower and batch size. */
const KEPT = 16;

/** Programs in WebAssembly, on threads where the runtime has them. */
export class WasmBackend extends Backend {
  readonly name = "wasm";
  readonly defaults = { dtype: "f16", images: 2, texts: 8 } as const;
  readonly dtypes = ["f32", "f16", "q8", "i8", "q4"] as const;
  /** 256 MiB a value: a memory has 4 GiB for all of them and the weights. */
  readonly maxElements = 2 ** 26;
  /** What linear maps run as. */
  readonly forms: Forms;
  /** Whether attention multiplies integers. */
  private readonly integers: boolean;
  private readonly pool: Pool;
  private readonly memory: Memory;
  private readonly kernels: Kernels;
  private readonly weights = new Map<string, StoredWeight>();
  private readonly compiled = new Map<Program, Compiled>();
  /** Blocks for activations, shared by all programs, since one runs at a time: the largest first, the temporary one last. */
  private readonly buffers: Block[] = [];
  private readonly temporary: Block = { address: 0, bytes: 0 };
  private generation = 0;
  private freed = false;
  private readonly staging: Block = { address: 0, bytes: 0 };

  constructor(pool: Pool, memory: Memory, kernels: Kernels, forms: Forms, integers: boolean) {
    super();
    this.pool = pool;
    this.memory = memory;
    this.kernels = kernels;
    this.forms = forms;
    this.integers = integers;
  }

  get bytes(): number {
    return this.freed ? 0 : this.memory.bytes;
  }

  get lost(): boolean {
    return this.pool.lost;
  }

  /** How many threads compute. */
  get threads(): number {
    return this.pool.threads;
  }

  async weight(spec: WeightSpec, rows: AsyncIterable<RowChunk>): Promise<void> {
    this.check();
    const { name, shape, dtype } = spec;
    const [out, depth] = shape;
    const form = this.forms[dtype];
    const flag = this.memory.alloc(4);
    this.memory.intsAt(flag, 1)[0] = 0;
    let address = 0;
    const stored = { ...spec, dtype: storedAs(dtype) };
    let row = 0;
    try {
      address = this.allocate(spec, weightBytes(form, out, depth));
      for await (const chunk of inPanels(checked(stored, rows), depth)) {
        this.check();
        if (row + chunk.rows > out) throw wrongRows(spec, row + chunk.rows);
        const source = this.stage(chunk);
        await this.kernels.run([packStep(form, { ...source, depth, flag }, row, address)]);
        row += chunk.rows;
      }
      if (row !== out) throw wrongRows(spec, row);
      if (this.memory.intsAt(flag, 1)[0] !== 0) throw notFinite(name);
    } catch (error) {
      if (address !== 0) this.memory.free(address);
      throw error;
    } finally {
      this.memory.free(flag);
    }
    this.keep(name, { address, form });
  }

  constant(weight: Weight, data: Float32Array): void {
    this.check();
    checkConstant(weight, data);
    const address = this.memory.alloc(valueBytes(weight.shape));
    this.write(address, weight.shape, data);
    this.keep(weight.name, { address });
  }

  async loaded(): Promise<void> {
    this.release(this.staging);
  }

  protected async execute(program: Program, inputs: Inputs, signal?: AbortSignal): Promise<Outputs> {
    const { list, addresses } = await this.compile(program);
    for (const { id, input, shape } of program.values) {
      if (input !== undefined) this.write(addresses[id], shape, inputs[input]);
    }
    await this.pool.run(list, signal);
    this.check();
    return Object.fromEntries(
      program.outputs.map(({ name, value }) => [name, this.read(addresses[value], program.values[value].shape)]),
    );
  }

  protected free(): void {
    this.freed = true;
    this.pool.dispose();
    this.weights.clear();
    this.compiled.clear();
  }

  /** What stood under the name is dropped, and with it the programs that name it. */
  private keep(name: string, weight: StoredWeight): void {
    const old = this.weights.get(name);
    if (old) {
      for (const program of [...this.compiled.keys()]) this.drop(program);
      this.memory.free(old.address);
    }
    this.weights.set(name, weight);
  }

  /** A program's steps, made once for the buffers that there are. */
  private async compile(program: Program): Promise<Compiled> {
    const { values, operations } = program;
    const weight = (one: Weight) => this.weights.get(one.name)!;
    const plan = this.plan(program, ({ shape }) => valueBytes(shape));
    this.reserve(plan.sizes, temporaryOf(program, weight));
    const known = this.compiled.get(program);
    if (known?.generation === this.generation) return known;
    if (known) this.drop(program);
    const addresses = values.map(({ id, weight: own }) =>
      own ? weight(own).address : this.buffers[plan.of[id]!].address,
    );
    const blocks: number[] = [];
    const indices = (rows: readonly number[]) => {
      const block = this.memory.alloc(4 * rows.length);
      this.memory.intsAt(block, rows.length).set(rows);
      blocks.push(block);
      return block;
    };
    const site = {
      ...{ instructions: this.kernels.instructions, integers: this.integers, temporary: this.temporary.address },
      ...{ value: (id: number) => addresses[id], weight, indices },
    };
    let list: Placed;
    try {
      list = await this.kernels.place(operations.flatMap((operation) => stepsOf(program, operation, site)));
    } catch (error) {
      for (const block of blocks) this.memory.free(block);
      throw error;
    }
    const made = { generation: this.generation, list, addresses, blocks };
    this.compiled.set(program, made);
    if (this.compiled.size > KEPT) this.drop(this.compiled.keys().next().value!);
    return made;
  }

  private drop(program: Program): void {
    const { list, blocks } = this.compiled.get(program)!;
    this.compiled.delete(program);
    this.kernels.release(list);
    for (const block of blocks) this.memory.free(block);
  }

  /** Makes room for a program's values. Where there is none, all is given back, so that a smaller batch finds room again. */
  private reserve(sizes: readonly number[], temporary: number): void {
    try {
      for (const [index, bytes] of sizes.entries()) {
        this.buffers[index] ??= { address: 0, bytes: 0 };
        if (this.grow(this.buffers[index], bytes)) this.generation++;
      }
      if (this.grow(this.temporary, temporary)) this.generation++;
    } catch (error) {
      this.generation++;
      for (const block of [...this.buffers, this.temporary]) this.release(block);
      throw error;
    }
  }

  /** Makes a block at least so large: true where it is another now. */
  private grow(block: Block, bytes: number): boolean {
    if (block.bytes >= bytes) return false;
    this.release(block);
    block.address = this.memory.alloc(bytes);
    block.bytes = bytes;
    return true;
  }

  private release(block: Block): void {
    if (block.bytes > 0) this.memory.free(block.address);
    block.bytes = 0;
  }

  /** Copies a chunk into memory; it stays there until the next. */
  private stage({ dtype, rows, bytes, scales }: RowChunk) {
    const scalesAt = Math.ceil(bytes.length / 64) * 64;
    const wanted = scalesAt + (scales?.length ?? 0);
    this.grow(this.staging, wanted);
    const { address } = this.staging;
    this.memory.bytesAt(address, bytes.length).set(bytes);
    if (scales) this.memory.bytesAt(address + scalesAt, scales.length).set(scales);
    return { address, dtype, rows, scales: scales && address + scalesAt };
  }

  private allocate({ smaller }: WeightSpec, bytes: number): number {
    try {
      return this.memory.alloc(bytes);
    } catch (error) {
      if (!(error instanceof SiglipError)) throw error;
      const advice = smaller
        ? `load with dtype "${smaller.dtype}", which needs ${smaller.bytes} bytes for all weights`
        : "load one tower only";
      const found = `no room beside the ${this.memory.bytes} held`;
      throw mismatch("out-of-memory", "wasm memory", `${bytes} bytes more`, found, advice, error);
    }
  }

  /** Writes rows and their padding. */
  private write(address: number, shape: Shape, data: Float32Array): void {
    const width = shape.at(-1)!;
    const stride = padded(width);
    const rows = rowCount(shape);
    const to = this.memory.floatsAt(address, rows * stride);
    if (data.length === to.length) {
      to.set(data);
      return;
    }
    for (let row = 0; row < rows; row++) {
      to.set(data.subarray(row * width, (row + 1) * width), row * stride);
      to.fill(0, row * stride + width, (row + 1) * stride);
    }
  }

  private read(address: number, shape: Shape): Float32Array {
    const width = shape.at(-1)!;
    const rows = this.memory.floatsAt(address, rowCount(shape) * padded(width)).slice();
    return size(shape) === rows.length ? rows : cutRows(rows, padded(width), width);
  }
}

function valueBytes(shape: Shape): number {
  return 4 * rowCount(shape) * padded(shape.at(-1)!);
}

async function* checked(spec: Weight, rows: AsyncIterable<RowChunk>): AsyncGenerator<RowChunk> {
  for await (const chunk of rows) {
    checkChunk(spec, chunk);
    yield chunk;
  }
}
