import { setFlagsFromString } from "node:v8";
import { afterAll, beforeAll } from "vitest";
import { type Instructions, type KernelName, kernelModule, probe, type Step } from "../../../kernels/wasm/index.ts";

const own = probe();
/** Where the instructions are there without it, nothing. */
const flag = (on: boolean) => {
  if (!own?.madd) setFlagsFromString(`--${on ? "" : "no-"}experimental-wasm-relaxed-simd`);
};

// Node 20 has the relaxed instructions behind a flag; its dot is not finished there.
flag(true);
const flagged = own?.madd || !probe()?.madd ? undefined : { madd: true, dot: false, dot8: false };
flag(false);

/** Lets a file's tests use `ENGINES`: the flag holds for the whole process, and other files' tests are to know nothing of it. */
export function useEngines(): void {
  beforeAll(() => flag(true));
  afterAll(() => flag(false));
}

/** What this engine takes, and the plain form that every engine takes. */
export const ENGINES: readonly Instructions[] = [
  { madd: false, dot: false, dot8: false },
  ...(own?.madd ? [own] : flagged ? [flagged] : []),
  // Where eight bits are taken, seven are, too.
  ...(own?.dot8 ? [{ ...own, dot8: false }] : []),
];

export function nameOf({ madd, dot, dot8 }: Instructions): string {
  return madd ? `relaxed${dot ? ", dot" : ""}${dot8 ? " of 8 bits" : ""}` : "plain";
}

type Run = (params: number, chunk: number, scratch: number) => void;
type Numbers = Float32Array | Uint8Array | Int8Array | Uint16Array | Int32Array | Uint32Array;

/**
 * One memory and the kernels on it. What has not been written is NaN; steps run their chunks backwards, on two
 * scratches.
 */
export class Machine {
  readonly memory: WebAssembly.Memory;
  private readonly instructions: Instructions;
  private readonly kernels = new Map<KernelName, Run>();
  private top = 1024;

  constructor(instructions: Instructions, pages = 256) {
    this.instructions = instructions;
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: 65536 });
    new Float32Array(this.memory.buffer).fill(Number.NaN);
  }

  /** The address of so many bytes. */
  allocate(bytes: number): number {
    const at = this.top;
    this.top += Math.ceil(bytes / 64) * 64 + 64;
    if (this.top > this.memory.buffer.byteLength) throw new Error("The memory is full.");
    return at;
  }

  put(values: Numbers): number {
    const at = this.allocate(values.byteLength);
    new Uint8Array(this.memory.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    return at;
  }

  /** Rows of `width`, each padded with zeros. */
  putRows(values: Float32Array, width: number, stride: number): number {
    const rows = values.length / width;
    const all = new Float32Array(rows * stride);
    for (let row = 0; row < rows; row++) all.set(values.subarray(row * width, (row + 1) * width), row * stride);
    return this.put(all);
  }

  /** Rows of `width`; throws unless what pads them is zero. */
  getRows(at: number, rows: number, width: number, stride: number): Float32Array {
    const all = new Float32Array(this.memory.buffer, at, rows * stride);
    const out = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      const line = all.subarray(row * stride, (row + 1) * stride);
      if (line.subarray(width).some((value) => !Object.is(value, 0))) throw new Error(`Row ${row} is not padded.`);
      out.set(line.subarray(0, width), row * width);
    }
    return out;
  }

  bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, length).slice();
  }

  run(...steps: Step[]): void {
    for (const step of steps) {
      const kernel = this.kernel(step.kernel);
      const params = this.put(step.params);
      const scratches = [0, 1].map(() => this.allocate(step.scratch));
      for (const at of scratches)
        new Float32Array(this.memory.buffer, at, Math.ceil(step.scratch / 4)).fill(Number.NaN);
      for (let chunk = step.chunks - 1; chunk >= 0; chunk--) kernel(params, chunk, scratches[chunk % 2]);
      // What was written beyond a scratch would show here.
      for (const at of scratches) {
        const after = new Float32Array(this.memory.buffer, at + Math.ceil(step.scratch / 4) * 4, 8);
        if (after.some((value) => !Number.isNaN(value))) throw new Error(`${step.kernel} wrote beyond its scratch.`);
      }
    }
  }

  /** Runs a step of one chunk on room that is given back. */
  again(step: Step): void {
    const { top } = this;
    const kernel = this.kernel(step.kernel);
    kernel(this.put(step.params), 0, this.allocate(step.scratch));
    this.top = top;
  }

  private kernel(name: KernelName): Run {
    let run = this.kernels.get(name);
    if (!run) {
      const module = new WebAssembly.Module(kernelModule(name, this.instructions, { shared: false }));
      run = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports.run as Run;
      this.kernels.set(name, run);
    }
    return run;
  }
}

/** Mean squared error over the mean square of what was expected; throws where a value is not a number. */
export function errorOf(actual: Float32Array, expected: Float64Array): number {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values, ${expected.length} expected`);
  let error = 0;
  let power = 0;
  for (let i = 0; i < actual.length; i++) {
    error += (actual[i] - expected[i]) ** 2;
    power += expected[i] ** 2;
  }
  return error / (power || 1);
}
