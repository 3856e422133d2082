import type { Norm, RowChunk, WeightDType } from "../../src/tensor/backend.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { random } from "../../test/judge/reference.ts";

/** A tensor on the device. */
export type GpuTensor = ReturnType<WebGpuBackend["linear"]>;

/** Precision of activations on the device. */
export type Storage = "f32" | "f16";

/** A tensor on the device and what rows of it hold, exactly. */
export interface Activation {
  readonly tensor: GpuTensor;
  host(rows: readonly number[]): Promise<Float32Array>;
}

/** A weight matrix on the device, and its values as they are stored. */
export interface Matrix {
  readonly tensor: GpuTensor;
  readonly stored: Float32Array;
}

/** Inputs shared by all forms: made by backends of their own on the same device, never zeros, the same in every run. */
export class Inputs {
  private readonly device: GPUDevice;
  private readonly stores = new Map<Storage, WebGpuBackend>();
  private readonly made = new Map<string, unknown>();

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** Random rows [rows, width], as a layer norm leaves them: that is how half precision activations come to be. */
  activation(storage: Storage, shape: readonly number[]): Promise<Activation> {
    return this.once(`activation ${storage} ${shape}`, async () => {
      const store = this.store(storage);
      const width = shape.at(-1)!;
      const count = shape.reduce((a, b) => a * b);
      const norm: Norm<GpuTensor> = {
        weight: store.tensor(new Float32Array(width).fill(1.5), [width]),
        bias: store.tensor(random(width, 3), [width]),
        eps: 1e-6,
      };
      const tensor = store.scope(() => store.layerNorm(store.tensor(random(count, 5), shape), norm));
      const host = (rows: readonly number[]) => store.scope(() => store.read(store.rows(tensor, rows)));
      await host([0]);
      return { tensor, host };
    });
  }

  /** Random float32 values. */
  tensor(shape: readonly number[], seed: number): Promise<{ tensor: GpuTensor; host: Float32Array }> {
    return this.once(`tensor ${shape} ${seed}`, async () => {
      const store = this.store("f32");
      const host = random(
        shape.reduce((a, b) => a * b),
        seed,
      );
      const tensor = store.tensor(host, shape);
      await store.read(store.tensor(new Float32Array(1), [1]));
      return { tensor, host };
    });
  }

  /** A random matrix [out, depth] in the precision asked for. */
  matrix(out: number, depth: number, dtype: WeightDType): Promise<Matrix> {
    return this.once(`matrix ${out} ${depth} ${dtype}`, async () => {
      const values = random(out * depth, out, 1 / Math.sqrt(depth));
      const spec = { name: "w", out, in: depth, dtype };
      const tensor = await this.store("f32").weight(spec, rows(values, out));
      const { data } = await new CpuBackend().weight(spec, rows(values, out));
      return { tensor, stored: data };
    });
  }

  /** Makes something once for all who name it so. */
  once<T>(name: string, make: () => Promise<T>): Promise<T> {
    if (!this.made.has(name)) this.made.set(name, make());
    return this.made.get(name) as Promise<T>;
  }

  /** Frees everything made so far. */
  clear(): void {
    for (const store of this.stores.values()) store.dispose();
    this.stores.clear();
    this.made.clear();
  }

  private store(storage: Storage): WebGpuBackend {
    let store = this.stores.get(storage);
    if (!store) {
      store = new WebGpuBackend(this.device, { activations: storage });
      this.stores.set(storage, store);
    }
    return store;
  }
}

async function* rows(values: Float32Array, count: number): AsyncGenerator<RowChunk> {
  yield { dtype: "F32", rows: count, bytes: new Uint8Array(values.buffer) };
}
