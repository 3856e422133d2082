import { toFloat32 } from "../../src/support/numbers.ts";
import type { Backend } from "../../src/tensor/backend.ts";
import type { RowChunk } from "../../src/tensor/packing.ts";
import { Recorder, type StoredDType, type Value, type Weight } from "../../src/tensor/program.ts";
import { packRows, unpackRows } from "../../src/tensor/quantise.ts";
import { type Shape, size } from "../../src/tensor/shape.ts";
import { random } from "../../test/judge/reference.ts";

/** Precision of activations on the device. */
export type Storage = "f32" | "f16";

/** Data shared by all forms, on the host: never zeros, the same in every run. */
export class Inputs {
  private readonly made = new Map<string, unknown>();

  /** Random float32 values. */
  values(shape: Shape, seed: number): Float32Array {
    return this.once(`values ${shape} ${seed}`, () => random(size(shape), seed));
  }

  /** A random matrix [out, depth] as it is stored in the precision asked for, and its values then. */
  matrix(out: number, depth: number, dtype: StoredDType): { chunk: RowChunk; stored: Float32Array } {
    return this.once(`matrix ${out} ${depth} ${dtype}`, () => {
      const values = random(out * depth, out, 1 / Math.sqrt(depth));
      const floats: RowChunk = { dtype: "F32", rows: out, bytes: new Uint8Array(values.buffer) };
      const chunk = dtype === "f32" ? floats : packRows(values, depth, dtype);
      return { chunk, stored: chunk.scales ? unpackRows(chunk, depth) : toFloat32(chunk.bytes, chunk.dtype) };
    });
  }

  /** Makes something once for all who name it so. */
  once<T>(name: string, make: () => T): T {
    if (!this.made.has(name)) this.made.set(name, make());
    return this.made.get(name) as T;
  }

  /** Forgets everything made so far. */
  clear(): void {
    this.made.clear();
  }
}

/** The same data as weights of one backend, so that timed programs upload nothing. */
export class Stage {
  readonly backend: Backend;
  readonly inputs: Inputs;
  private readonly held = new Map<string, Weight>();

  constructor(backend: Backend, inputs: Inputs) {
    this.backend = backend;
    this.inputs = inputs;
  }

  /** Random float32 values as a small weight, or as something a program reads. */
  constant(shape: Shape, seed: number): Weight {
    const name = `values ${shape} ${seed}`;
    if (!this.held.has(name)) {
      const weight = { name, shape, dtype: "f32" } as const;
      this.backend.constant(weight, this.inputs.values(shape, seed));
      this.held.set(name, weight);
    }
    return this.held.get(name)!;
  }

  async matrix(out: number, depth: number, dtype: StoredDType): Promise<Weight> {
    const name = `matrix ${out} ${depth} ${dtype}`;
    if (!this.held.has(name)) {
      const weight = { name, shape: [out, depth], dtype };
      const { chunk } = this.inputs.matrix(out, depth, dtype);
      await this.backend.weight(
        weight,
        (async function* () {
          yield chunk;
        })(),
      );
      this.held.set(name, weight);
    }
    return this.held.get(name)!;
  }

  /** Random rows in the precision of activations, as a layer norm leaves them: that is how they come to be. */
  activation(p: Recorder, shape: Shape): Value {
    const width = shape.at(-1)!;
    const norm = { weight: this.constant([width], 4), bias: this.constant([width], 3), eps: 1e-6 };
    return p.layerNorm(this.constant(shape, 5), norm);
  }

  /** What rows of `activation` hold, exactly. */
  async host(shape: Shape, rows: readonly number[]): Promise<Float32Array> {
    const p = new Recorder();
    p.output("rows", p.rows(this.activation(p, shape), rows));
    return (await this.backend.run(p.finish(), {})).rows;
  }
}
