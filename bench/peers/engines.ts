import type { DType } from "./measure.ts";

/** Something that can be measured. */
export interface Engine {
  /** The precisions in which it is measured. */
  readonly dtypes: readonly DType[];
  /** It computes on as many threads as it is told. */
  readonly threads?: true;
  /** It is there for a GPU: by default it runs only where there is a hardware adapter. */
  readonly gpu?: true;
}

const OURS = ["f32", "f16", "q8", "i8", "q4"] as const;
const HALVES = ["f32", "f16"] as const;
const INTEGERS = ["f32", "int8", "int4"] as const;

/** By name; those of one linear layer begin with "linear-". */
export const ENGINES: Readonly<Record<string, Engine>> = {
  "ours-webgpu": { dtypes: HALVES, gpu: true },
  "ort-webgpu": { dtypes: HALVES, gpu: true },
  "ort-webgpu-plain": { dtypes: HALVES, gpu: true },
  torch: { dtypes: HALVES, gpu: true },
  "ours-wasm": { dtypes: OURS, threads: true },
  "ort-wasm": { dtypes: INTEGERS, threads: true },
  "ort-cpu": { dtypes: INTEGERS, threads: true },
  "linear-ours-webgpu": { dtypes: HALVES, gpu: true },
  "linear-jax-webgpu": { dtypes: HALVES, gpu: true },
  "linear-ours-wasm": { dtypes: OURS, threads: true },
  "linear-litert": { dtypes: INTEGERS, threads: true },
  "linear-jax-wasm": { dtypes: ["f32"], threads: true },
  "linear-ours-cpu": { dtypes: ["f32"] },
  "ours-cpu": { dtypes: ["f32"] },
};

/** All precisions, ours and those of others. */
export const DTYPES: readonly DType[] = [...OURS, "int8", "int4"];

/** A row to measure. */
export interface Wanted {
  readonly engine: string;
  readonly dtype: DType;
  /** Of the engines that are told. */
  readonly threads?: number;
}

/** The rows that were asked for: what stands beside each other in the table is measured one after the other. */
export function wantedRows(engines: readonly string[], dtypes: readonly DType[], threads: readonly number[]): Wanted[] {
  return threads.flatMap((count, index) =>
    dtypes.flatMap((dtype) =>
      engines
        .filter((engine) => ENGINES[engine].dtypes.includes(dtype))
        .filter((engine) => ENGINES[engine].threads || index === 0)
        .map((engine) => (ENGINES[engine].threads ? { engine, dtype, threads: count } : { engine, dtype })),
    ),
  );
}
