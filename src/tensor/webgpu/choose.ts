import { toFloat32 } from "../../support/numbers.ts";

/** One form of a piece of work, timed and compared with the first. */
export interface Trial {
  readonly name: string;
  /** Of one call, the least of several; of one that is far behind, its submit and wait included. */
  readonly milliseconds: number;
  /** Gives what the first form gives, to within rounding. One that does not is never chosen. */
  readonly right: boolean;
}

/** Which form was chosen for which work, by a key that names operation, shape and precision. */
export type ChosenForms = Map<string, string>;

/** Milliseconds that the calls of one timed submit take beyond the first's, unless they are so many. */
const LASTING = 4;
const CALLS = 64;
const REPEATS = 3;

/** Where a single call takes longer, in milliseconds, it is timed once: the differences are then plain. */
const LONG = 50;

/** Shares of |y|² by which two forms may differ: in float32 sums, and where half precision is multiplied or stored (1e-7). */
const AGREE = { f32: 1e-10, f16: 1e-5 };

/** How one form is run: `run` submits so many calls and waits for them. */
export interface TimedForm {
  readonly name: string;
  run(calls: number): Promise<void>;
}

/**
 * Times every form on the real buffers and compares results. The first is the plain one: what it gives is right. Returns the
 * trials, and the fastest right one's name; none where even the plain result is no number, which says nothing about forms.
 */
export async function choose(
  forms: readonly TimedForm[],
  precision: "f32" | "f16",
  read: () => Promise<Float32Array>,
): Promise<{ name: string | undefined; trials: Trial[] }> {
  const trials: Trial[] = [];
  let expected: Float32Array | undefined;
  for (const form of forms) {
    await form.run(1);
    const result = await read();
    expected ??= result;
    const right = agree(result, expected, AGREE[precision]);
    let milliseconds = await clock(() => form.run(1));
    // Once more: one odd clock must not put a fast form out of the running.
    if (milliseconds < LONG) milliseconds = Math.min(milliseconds, await clock(() => form.run(1)));
    trials.push({ name: form.name, milliseconds, right });
  }
  const right = trials.filter((trial) => trial.right);
  const least = Math.min(...right.map(({ milliseconds }) => milliseconds));
  if (least < LONG) {
    for (const [index, { name, milliseconds, right }] of trials.entries()) {
      // Twice the fastest with what a submit costs by itself: more than twice without.
      if (!right || milliseconds > 2 * least) continue;
      trials[index] = { name, milliseconds: await time(forms[index], milliseconds), right };
    }
  }
  const [best] = trials.filter((trial) => trial.right).sort((a, b) => a.milliseconds - b.milliseconds);
  return { name: best?.name, trials };
}

/** Milliseconds of one call: of many less those of one (`once`), so that what a submit costs by itself cancels. */
async function time(form: TimedForm, once: number): Promise<number> {
  let calls = 1;
  let many = await clock(() => form.run(1 + calls));
  while (calls < CALLS && many - once < LASTING) {
    calls *= 4;
    many = await clock(() => form.run(1 + calls));
  }
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    once = Math.min(once, await clock(() => form.run(1)));
    many = Math.min(many, await clock(() => form.run(1 + calls)));
  }
  // One odd clock must not make a form free of charge.
  return many > once ? (many - once) / calls : many / (1 + calls);
}

/** Milliseconds that something takes. */
export async function clock(body: () => Promise<void>): Promise<number> {
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
