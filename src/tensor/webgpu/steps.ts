import type { Pipeline } from "./pipelines.ts";

/** What a dispatch leaves: bytes in use, how they are stored, and in what precision they were made. */
export interface Result {
  readonly bytes: number;
  readonly storage: "f32" | "f16";
  readonly precision: "f32" | "f16";
}

/** One form of a dispatch: a kernel with its constants, and how it is called. */
export interface Form {
  readonly name: string;
  /** Starts to compile it at the first call. */
  readonly pipeline: () => Pipeline;
  readonly groups: readonly [number, number, number];
}

/** One use of a kernel. */
export interface Dispatch {
  /** The plainest first. Of several one is chosen by a trial when it first runs. */
  readonly forms: readonly Form[];
  /** Under which the chosen form is kept. */
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
  /** The beginning of the same work, of at most so many operations as far as whole rows or items allow: for a trial. */
  readonly part?: (work: number) => Dispatch;
}

/** A command that can be encoded as it is. */
export type Step =
  | { readonly kind: "write"; readonly buffer: GPUBuffer; readonly data: Float32Array<ArrayBuffer> }
  | ({ readonly kind: "copy" } & Copy)
  | { readonly kind: "clear"; readonly buffer: GPUBuffer; readonly bytes: number }
  | ({ readonly kind: "run" } & Run);

/** What a program consists of on the device: steps, and dispatches whose form is chosen when they run. */
export type Command = Exclude<Step, { kind: "run" }> | { readonly kind: "dispatch"; readonly dispatch: Dispatch };

/** Bytes from one buffer to another. */
export interface Copy {
  readonly from: GPUBuffer;
  readonly at: number;
  readonly to: GPUBuffer;
  readonly toAt: number;
  readonly bytes: number;
}

interface Run {
  readonly pipeline: Pipeline;
  readonly words: readonly number[];
  readonly buffers: readonly GPUBuffer[];
  readonly groups: readonly [number, number, number];
  readonly work: number;
  readonly split: boolean;
}

/** A dispatch in one of its forms. */
export function step(dispatch: Dispatch, { pipeline, groups }: Form): Step {
  const { words, buffers, work, split = false } = dispatch;
  return { kind: "run", pipeline: pipeline(), words: split ? [...words, 0] : words, buffers, groups, work, split };
}

/**
 * Steps in portions of at most `budget()` operations, asked anew for every portion, as the device's speed becomes known. A
 * step that exceeds it by itself is cut along y, where it may be.
 */
export async function* portions(steps: readonly Step[], budget: () => Promise<number>): AsyncGenerator<Step[]> {
  let most = await budget();
  let portion: Step[] = [];
  let load = 0;
  for (const one of steps) {
    for (let rest: Step | undefined = one; rest; ) {
      let piece: Step = rest;
      let after: Step | undefined;
      if (load === 0 && workOf(rest) > most) [piece, after] = cut(rest, most);
      else if (load + workOf(rest) > most) {
        yield portion;
        most = await budget();
        portion = [];
        load = 0;
        continue;
      }
      portion.push(piece);
      load += workOf(piece);
      rest = after;
    }
  }
  yield portion;
}

/** Operations of a step. */
export function workOf(one: Step): number {
  return one.kind === "run" ? one.work : 0;
}

/** The beginning of a step, of at most `most` operations as far as whole workgroups allow, and the rest. */
function cut(one: Step, most: number): [Step, Step?] {
  if (one.kind !== "run" || !one.split) return [one];
  const [across, down, deep] = one.groups;
  // Powers of two: where a piece may begin takes few values, and each has a uniform, however the device's speed varies.
  const count = 2 ** Math.floor(Math.log2(Math.max(1, (most / one.work) * down)));
  if (count >= down) return [one];
  const part = (first: number, groups: number): Step => ({
    ...one,
    words: [...one.words.slice(0, -1), one.words.at(-1)! + first],
    groups: [across, groups, deep],
    work: (one.work * groups) / down,
  });
  return [part(0, count), part(count, down - count)];
}
