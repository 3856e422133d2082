import type { Backend } from "../tensor/backend.ts";
import type { Program } from "../tensor/program.ts";
import { size } from "../tensor/shape.ts";
import type { ForwardOptions, Values } from "./towers.ts";

/** Items of one pass: a dispatch counts at most 65,535 workgroups an axis. */
const MOST = 512;

/** Programs kept, each for a batch size. */
const KEPT = 16;

/** How a tower is run. */
export interface PassOptions {
  /** Of the largest value that one token makes. */
  readonly elements: number;
  /** Of an item, unless a run says otherwise. */
  readonly tokens: number;
  /** Its last output is what a run gives. */
  readonly program: (batch: number, taps: boolean, tokens: number) => Program;
}

/** Runs batches of a tower in parts that the backend's largest value allows. */
export class Pass {
  private readonly backend: Backend;
  private readonly options: PassOptions;
  private readonly programs = new Map<string, Program>();

  constructor(backend: Backend, options: PassOptions) {
    this.backend = backend;
    this.options = options;
  }

  /** `inputs` gives the items from one to another; results and taps are put together again. */
  async run(
    count: number,
    { tap, signal }: ForwardOptions = {},
    inputs: (from: number, to: number) => Promise<Record<string, Float32Array>>,
    tokens = this.options.tokens,
  ): Promise<Values> {
    const step = Math.max(1, Math.min(MOST, Math.floor(this.backend.maxElements / this.options.elements / tokens)));
    const whole = this.program(Math.min(count, step) || 1, tap !== undefined, tokens);
    const [batch, ...row] = whole.values[whole.outputs.at(-1)!.value].shape;
    const width = size(row);
    const out = new Float32Array(count * width);
    const tapped: [string, Values][] = [];
    for (let from = 0; from < count; from += batch) {
      signal?.throwIfAborted();
      const to = Math.min(count, from + batch);
      const program = this.program(to - from, tap !== undefined, tokens);
      const results = await this.backend.run(program, await inputs(from, to), signal);
      for (const { name, value } of program.outputs) {
        if (name === "pooled") out.set(results[name], from * width);
        else tapped.push([name, { data: results[name], shape: program.values[value].shape }]);
      }
    }
    if (tap) (await import("./taps.ts")).deliver(tapped, tap);
    return { data: out, shape: [count, width] };
  }

  private program(batch: number, taps: boolean, tokens: number): Program {
    const key = `${batch} ${taps} ${tokens}`;
    let program = this.programs.get(key);
    if (!program) {
      program = this.options.program(batch, taps, tokens);
      this.programs.set(key, program);
      if (this.programs.size > KEPT) this.programs.delete(this.programs.keys().next().value!);
    }
    return program;
  }
}
