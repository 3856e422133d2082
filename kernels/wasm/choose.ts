import { formsOf, type WeightForm, weightBytes } from "./forms.ts";
import { kernelModule, type Step } from "./index.ts";
import { linearSteps, temporaryBytes } from "./linear-steps.ts";
import type { Instructions } from "./math.ts";

/** How weights are stored, and `i8`: those of q8 times activations of 7 or 8 bits. */
export type WasmDType = "f32" | "f16" | "q8" | "q4" | "i8";

/** The forms that keep a dtype's precision, those first that are expected to win. */
const CANDIDATES: Readonly<Record<WasmDType, readonly WeightForm[]>> = {
  f32: ["f32-f32"],
  f16: ["i14-i16", "f16-f32"],
  q8: ["q8-i8x2", "q8-i16", "q8-f32"],
  q4: ["q4-i8", "q4-i16", "q4-f32"],
  i8: ["q8-i8", "q8-i16", "q8-f32"],
};

/** What an engine of these instructions may run for a dtype, the expected first. */
export function candidates(dtype: WasmDType, instructions: Instructions): WeightForm[] {
  const forms = formsOf(instructions);
  return CANDIDATES[dtype].filter((form) => forms.includes(form));
}

/** The linear map that is timed: some tens of microseconds, out of the nearest caches. */
const SHAPE = { rows: 192, depth: 512, out: 32 } as const;

/** Milliseconds for each form, most of which an engine spends until it has optimised the kernel. */
const LIMIT = 12;

/** The fastest form for a dtype on this machine, and the microseconds of each that was timed on this thread, some 12 ms each. */
export function chooseForm(
  dtype: WasmDType,
  instructions: Instructions,
): { readonly form: WeightForm; readonly times: Readonly<Partial<Record<WeightForm, number>>> } {
  const forms = candidates(dtype, instructions);
  if (forms.length === 1) return { form: forms[0], times: {} };
  const times = Object.fromEntries(forms.map((form) => [form, time(form, instructions)])) as Record<WeightForm, number>;
  return { form: forms.reduce((best, form) => (times[form] < times[best] ? form : best)), times };
}

/** The best microseconds of a form's steps. */
function time(form: WeightForm, instructions: Instructions): number {
  const { rows, depth, out } = SHAPE;
  const memory = new WebAssembly.Memory({ initial: 16 });
  let top = 64;
  const allocate = (bytes: number) => {
    const at = top;
    top += Math.ceil(bytes / 64) * 64;
    return at;
  };
  const call = {
    ...{ x: allocate(4 * rows * depth), xStride: depth, rows, depth, out },
    ...{ weight: allocate(weightBytes(form, out, depth)), bias: allocate(4 * out) },
    ...{ y: allocate(4 * rows * out), yStride: out, temporary: allocate(temporaryBytes(form, rows, depth)) },
  };
  // Ones: whatever weights 0 may cost or spare, x is no special number.
  new Float32Array(memory.buffer, call.x, rows * depth).fill(1);
  const steps = linearSteps(form, call, instructions).map((step) => prepare(step, memory, allocate, instructions));
  const start = performance.now();
  let best = Number.POSITIVE_INFINITY;
  for (let before = start; before - start < LIMIT; ) {
    for (const step of steps) step();
    const after = performance.now();
    best = Math.min(best, after - before);
    before = after;
  }
  return 1000 * best;
}

function prepare(
  step: Step,
  memory: WebAssembly.Memory,
  allocate: (bytes: number) => number,
  instructions: Instructions,
): () => void {
  const bytes = kernelModule(step.kernel, instructions, { shared: false });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const run = exports.run as (params: number, chunk: number, scratch: number) => void;
  const params = allocate(step.params.byteLength);
  new Uint32Array(memory.buffer, params, step.params.length).set(step.params);
  const scratch = allocate(step.scratch);
  return () => {
    for (let chunk = 0; chunk < step.chunks; chunk++) run(params, chunk, scratch);
  };
}
