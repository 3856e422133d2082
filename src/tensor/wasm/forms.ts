import {
  FORMS,
  formsOf,
  type Instructions,
  linearSteps,
  temporaryBytes,
  type WeightForm,
  weightBytes,
} from "../../../kernels/wasm/index.ts";
import type { WeightDType } from "../program.ts";
import { padded } from "../shape.ts";
import type { ChosenForms } from "../webgpu/choose.ts";
import type { Forms } from "./backend.ts";
import type { Kernels, Placed } from "./kernels.ts";
import type { Memory } from "./memory.ts";
import type { Pool } from "./pool.ts";

/** What may hold the bound of each way to store weights, the one that every engine runs last. */
const CANDIDATES: Readonly<Record<WeightDType, readonly WeightForm[]>> = {
  f32: ["f32-f32"],
  f16: ["i14-i16", "f16-f32"],
  q8: ["q8-i8x2", "q8-i16", "q8-f32"],
  i8: ["q8-i8", "q8-i16", "q8-f32"],
  q4: ["q4-i8", "q4-i16", "q4-f32"],
};

/** A small layer: some milliseconds' work, of many rows as a picture has. */
const [ROWS, DEPTH, OUT] = [192, 576, 512];

/** Layers of a run: a thread that slept takes as long to wake as one does. */
const LAYERS = 4;

/** Runs of each form: with their layers enough for an engine to have compiled it for good. */
const RUNS = 6;

/**
 * The form for each way to store weights. That of `dtype` is the fastest of those that this engine takes, by a trial unless
 * `chosen` has it from an earlier one; the others are not going to be used, and nothing is tried for them.
 */
export async function chooseForms(
  dtype: WeightDType,
  chosen: ChosenForms,
  { kernels, memory, pool }: { kernels: Kernels; memory: Memory; pool: Pool },
): Promise<Forms> {
  const first = (one: WeightDType) => candidates(one, kernels.instructions)[0];
  // A patch embedding is never stored in less than half precision.
  const wanted: readonly WeightDType[] = dtype === "f32" ? [] : dtype === "f16" ? ["f16"] : ["f16", dtype];
  const dtypes = Object.keys(CANDIDATES) as WeightDType[];
  const forms = Object.fromEntries(dtypes.map((one) => [one, first(one)])) as Record<WeightDType, WeightForm>;
  for (const one of wanted) {
    const some = candidates(one, kernels.instructions);
    const kept = some.find((form) => form === chosen.get(one));
    if (kept) forms[one] = kept;
    else if (some.length > 1) {
      forms[one] = await fastest(some, kernels, memory, pool);
      chosen.set(one, forms[one]);
    }
  }
  return forms;
}

function candidates(dtype: WeightDType, instructions: Instructions): WeightForm[] {
  const able = formsOf(instructions);
  return CANDIDATES[dtype].filter((form) => able.includes(form));
}

/** The form whose best run of the small layer is the shortest. Forms take turns: what else the machine does meets all alike. */
async function fastest(
  forms: readonly WeightForm[],
  kernels: Kernels,
  memory: Memory,
  pool: Pool,
): Promise<WeightForm> {
  const times = forms.map(() => Number.POSITIVE_INFINITY);
  const blocks: number[] = [];
  const lists: Placed[] = [];
  for (const form of forms) {
    const bytes = weightBytes(form, OUT, DEPTH);
    const [x, weight, bias, y, temporary] = [
      4 * ROWS * padded(DEPTH),
      bytes,
      4 * padded(OUT),
      4 * ROWS * padded(OUT),
      temporaryBytes(form, ROWS, DEPTH),
    ].map((bytes) => {
      const block = memory.alloc(bytes);
      blocks.push(block);
      return block;
    });
    memory.floatsAt(x, ROWS * padded(DEPTH)).fill(1);
    // Ones in two bytes: any codes and scales will do that are numbers.
    memory.bytesAt(weight, bytes).fill(FORMS[form][0] === "f32" ? 0 : 0x11);
    memory.floatsAt(bias, padded(OUT)).fill(0);
    const call = { x, xStride: padded(DEPTH), rows: ROWS, depth: DEPTH, out: OUT, weight, bias };
    const steps = linearSteps(form, { ...call, y, yStride: padded(OUT), temporary }, kernels.instructions);
    lists.push(await kernels.place(Array.from({ length: LAYERS }, () => steps).flat()));
  }
  for (let run = 0; run < RUNS; run++) {
    for (const [i, list] of lists.entries()) {
      const began = performance.now();
      await pool.run(list);
      times[i] = Math.min(times[i], performance.now() - began);
    }
  }
  for (const list of lists) kernels.release(list);
  for (const block of blocks) memory.free(block);
  return forms[times.indexOf(Math.min(...times))];
}
