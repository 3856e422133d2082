import type { Pipeline } from "./pipelines.ts";

/** What a dispatch leaves: bytes in use, how they are stored, and in what precision they were made. */
export interface Result {
  readonly bytes: number;
  readonly storage: "f32" | "f16";
  readonly precision: "f32" | "f16";
}

/** A way to do a dispatch: a kernel's form. */
export interface Variant {
  readonly name: string;
  readonly pipeline: Pipeline;
  readonly groups: readonly [number, number, number];
}

/** One use of a kernel. */
export interface Dispatch {
  /** The ways to do it, the plainest first. Of several one is chosen by a trial when it first runs. */
  readonly variants: readonly Variant[];
  /** Under which the choice is kept. */
  readonly key: string;
  /** The uniform's words. Where `split` is set, one more is added: the first workgroup along y. */
  readonly words: readonly number[];
  /** Storage buffers in the order of the kernel's bindings, the result last. */
  readonly buffers: readonly GPUBuffer[];
  /** Size of the result in bytes, and how it is stored. */
  readonly result: Result;
  /** Floating point operations, roughly: what time is foretold by. */
  readonly work: number;
  /** Whether it may be run in pieces along y. */
  readonly split?: boolean;
  /** What a trial runs instead: the beginning of the same work, where all of it would take long. */
  readonly trial?: Dispatch;
}

/** A command that can be encoded as it is. */
export type Step =
  | { readonly kind: "write"; readonly buffer: GPUBuffer; readonly data: Float32Array<ArrayBuffer> }
  | { readonly kind: "copy"; readonly from: GPUBuffer; readonly to: GPUBuffer; readonly bytes: number }
  | { readonly kind: "clear"; readonly buffer: GPUBuffer; readonly bytes: number }
  | ({ readonly kind: "run" } & Run);

interface Run {
  readonly pipeline: Pipeline;
  readonly words: readonly number[];
  readonly buffers: readonly GPUBuffer[];
  readonly groups: readonly [number, number, number];
  readonly work: number;
  readonly split: boolean;
}

/** A dispatch done one way. */
export function step(dispatch: Dispatch, { pipeline, groups }: Variant): Step {
  const { words, buffers, work, split = false } = dispatch;
  return { kind: "run", pipeline, words: split ? [...words, 0] : words, buffers, groups, work, split };
}

/** Steps in portions of at most `most` operations; one that exceeds it by itself is cut along y, where it may be. */
export function cut(steps: readonly Step[], most: number): Step[][] {
  const portions: Step[][] = [[]];
  let load = 0;
  const add = (one: Step, work: number) => {
    if (load > 0 && load + work > most) {
      portions.push([]);
      load = 0;
    }
    portions.at(-1)!.push(one);
    load += work;
  };
  for (const one of steps) {
    if (one.kind !== "run" || !one.split || one.work <= most) {
      add(one, one.kind === "run" ? one.work : 0);
      continue;
    }
    const [across, down, deep] = one.groups;
    const rows = Math.max(1, Math.floor((most / one.work) * down));
    for (let first = 0; first < down; first += rows) {
      const groups = [across, Math.min(rows, down - first), deep] as const;
      const work = (one.work * groups[1]) / down;
      add({ ...one, words: [...one.words.slice(0, -1), first], groups, work }, work);
    }
  }
  return portions;
}
