import { toFloat32 } from "../../numbers.ts";

/** One way to do a piece of work, timed and compared with the first. */
export interface Trial {
  readonly name: string;
  /** Of one call, the least of several. */
  readonly milliseconds: number;
  /** Gives what the first way gives, to within rounding. One that does not is never chosen. */
  readonly right: boolean;
}

/** Which way was chosen for which work, by a key that names operation, shape and precision. */
export type Choices = Map<string, string>;

/** Calls in one timed submit beyond the first, so that what a submit costs by itself cancels. */
const CALLS = 6;
const REPEATS = 2;

/** Where a single call takes longer, in milliseconds, it is timed once: the differences are then plain. */
const LONG = 50;

/** Shares of |y|² by which two ways may differ: in float32 sums, and where half precision is multiplied or stored (1e-7). */
const AGREE = { f32: 1e-10, f16: 1e-5 };

/** How one way is run and its result read: `run` submits so many calls and waits for them. */
export interface Way {
  readonly name: string;
  run(calls: number): Promise<void>;
}

/**
 * Times every way on the real buffers and compares results. The first is the plain one: what it gives is right. Returns the
 * trials, and the fastest right one's name; none where even the plain result is no number, which says nothing about ways.
 */
export async function choose(
  ways: readonly Way[],
  precision: "f32" | "f16",
  read: () => Promise<Float32Array>,
): Promise<{ name: string | undefined; trials: Trial[] }> {
  const trials: Trial[] = [];
  let expected: Float32Array | undefined;
  for (const way of ways) {
    await way.run(1);
    const result = await read();
    expected ??= result;
    trials.push({ name: way.name, milliseconds: await time(way), right: agree(result, expected, AGREE[precision]) });
  }
  const [best] = trials.filter(({ right }) => right).sort((a, b) => a.milliseconds - b.milliseconds);
  return { name: best?.name, trials };
}

async function time(way: Way): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const once = await clock(() => way.run(1));
    if (once > LONG) return once;
    const many = await clock(() => way.run(1 + CALLS));
    least = Math.min(least, Math.max(0, many - once) / CALLS);
  }
  return least;
}

async function clock(body: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await body();
  return performance.now() - began;
}

function agree(actual: Float32Array, expected: Float32Array, share: number): boolean {
  let error = 0;
  let square = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i] - expected[i]) ** 2;
    square += expected[i] ** 2;
  }
  return error <= share * square;
}

/** Bytes of a result as numbers. */
export function decode(bytes: ArrayBuffer, storage: "f32" | "f16"): Float32Array {
  return toFloat32(new Uint8Array(bytes), storage === "f16" ? "F16" : "F32");
}
