/**
 * `npm run bench:wasm`: every form of a linear map and of attention on one thread, at SigLIP so400m's shapes, each held against
 * float64 before it is timed, as a share of what this core does in registers. `-- FORM ...` measures these forms only and keeps nothing; else the
 * result goes to bench/results/wasm-<processor>-node-<version>.json. Ends with 1 if anything was wrong.
 */
import {
  FORMS,
  formsOf,
  type Instructions,
  linearSteps,
  packStep,
  probe,
  temporaryBytes,
  type WeightForm,
  weightBytes,
} from "../../kernels/wasm/index.ts";
import { padRows } from "../../src/tensor/packing.ts";
import { padded } from "../../src/tensor/shape.ts";
import { random } from "../../test/judge/reference.ts";
import { environment, type Result, writeResult } from "../lib/results.ts";
import { digits, duration, percent } from "../lib/statistics.ts";
import { measureAttention } from "./attention.ts";
import { ceilings, type Loop } from "./ceilings.ts";
import { Runner } from "./runner.ts";

/** A form at a shape, on one thread. */
export interface WasmRow {
  readonly form: WeightForm | "attention" | "attention-integers";
  /** "rows x depth x out", of attention "queries x keys x heads x features". */
  readonly shape: string;
  /** Normalised mean squared error against float64 sums of the weights as they were before they were rounded. */
  readonly nmse: number;
  readonly error?: string;
  /** Seconds in all, and those of rounding x. */
  readonly seconds?: number;
  readonly rounding?: number;
  /** A multiply-add counted as two. */
  readonly flopsPerSecond?: number;
  readonly ofCeiling?: number;
  /** Weights packed in a second, of linear maps. */
  readonly packed?: number;
}

/** bench/results/wasm-*.json. */
export interface WasmResult extends Result<WasmRow> {
  readonly bench: "wasm";
  readonly instructions: Instructions;
  /** FLOP/s of register loops. */
  readonly ceilings: Readonly<Partial<Record<Loop, number>>>;
}

/** Rows, depth, out. */
const SHAPES = [
  [729, 1152, 3456],
  [729, 1152, 1152],
  [729, 1152, 4304],
  [729, 4304, 1152],
  [64, 1152, 4304],
  [1, 1152, 4304],
] as const;

const REPEATS = 5;

/** Normalised mean squared error that a form may have, weights rounded to its dtype and x to its bits. */
const LOSS = { f32: 1e-10, f16: 1e-6, i14: 1e-6, q8: 3e-4, q4: 0.03 } as const;

/** What a register loop of the form's own instruction does; two planes take two dots for a product. */
function ceilingOf(form: WeightForm, { madd }: Instructions): number {
  const arithmetic = FORMS[form][1];
  if (arithmetic === "f32") return top[madd ? "relaxed madd" : "multiply and add"]!;
  if (arithmetic === "i16") return top["dot of i16"]!;
  return top["relaxed dot of i8"]! / (arithmetic === "i8x2" ? 2 : 1);
}

function measure(
  runner: Runner,
  instructions: Instructions,
  form: WeightForm,
  shape: (typeof SHAPES)[number],
): WasmRow {
  const [rows, depth, out] = shape;
  const [x, w, bias] = [random(rows * depth, 1), random(out * depth, 2, 0.03), random(out, 3)];
  const weight = runner.allocate(weightBytes(form, out, depth));
  const flag = runner.allocate(4);
  const source = runner.put(w);
  const packing = packStep(form, { address: source, dtype: "F32", rows: out, depth, flag }, 0, weight);
  runner.run([packing]);
  const [packTime] = runner.run([packing], 3);
  const y = runner.allocate(4 * rows * padded(out));
  const steps = linearSteps(
    form,
    {
      ...{ x: runner.put(padRows(x, depth, padded(depth))), xStride: padded(depth), rows, depth, out, weight },
      ...{ bias: runner.put(padRows(bias, out, padded(out))), y, yStride: padded(out) },
      temporary: runner.allocate(temporaryBytes(form, rows, depth)),
    },
    instructions,
  );
  runner.run(steps, 1);
  const result = runner.floats(y, rows * padded(out));
  let [error, power] = [0, 0];
  for (let i = 0; i < 500; i++) {
    const [row, column] = [(i * 7919) % rows, (i * 104729) % out];
    let sum = bias[column];
    for (let k = 0; k < depth; k++) sum += x[row * depth + k] * w[column * depth + k];
    error += (result[row * padded(out) + column] - sum) ** 2;
    power += sum ** 2;
  }
  const found = { form, shape: shape.join(" x "), nmse: error / power };
  const allowed = LOSS[FORMS[form][0]];
  if (!(found.nmse < allowed)) return { ...found, error: `error ${found.nmse}, at most ${allowed} allowed` };
  const times = runner.run(steps, REPEATS);
  const seconds = times.reduce((sum, time) => sum + time) / 1e3;
  const flopsPerSecond = (2 * rows * depth * out) / seconds;
  return {
    ...found,
    seconds,
    rounding: times.length > 1 ? times[0] / 1e3 : undefined,
    flopsPerSecond,
    ofCeiling: flopsPerSecond / ceilingOf(form, instructions),
    packed: (out * depth) / (packTime / 1e3),
  };
}

function line({ form, error, nmse, seconds, rounding, flopsPerSecond, ofCeiling, packed }: WasmRow): string {
  if (error) return `  ${form.padEnd(8)} wrong: ${error}`;
  const rate = `${(flopsPerSecond! / 1e9).toFixed(1).padStart(6)} G (${percent(ofCeiling)})`;
  const ofIt = rounding === undefined ? "" : `, of it x ${duration(rounding)}`;
  const loss = `error ${nmse.toExponential(1)}${packed ? `; packed at ${digits(packed / 1e6)} M/s` : ""}`;
  return `  ${form.padEnd(8)} ${rate}  ${duration(seconds!)}${ofIt}; ${loss}`;
}

const instructions = probe();
if (!instructions) throw new Error("This engine has no SIMD.");
const forms = process.argv.slice(2);
const here = environment();
const top = ceilings();
const rows: WasmRow[] = [];
const said = JSON.stringify(instructions);
console.log(`${here.runtime}, ${said}; one thread, G multiply-adds x 2 a second (of what registers alone do)`);
for (const [name, rate] of Object.entries(top)) console.log(`  registers only, ${name}: ${(rate / 1e9).toFixed(1)}`);
for (const shape of SHAPES) {
  console.log(shape.join(" x "));
  for (const form of formsOf(instructions)) {
    if (forms.length > 0 && !forms.includes(form)) continue;
    rows.push(measure(new Runner(instructions), instructions, form, shape));
    console.log(line(rows.at(-1)!));
  }
}
if (forms.length === 0) {
  // Queries and weights in two planes take two dots for a product.
  const most = { floats: ceilingOf("f32-f32", instructions), integers: ceilingOf("q8-i8x2", instructions) };
  console.log("attention of a picture");
  for (const integers of instructions.dot ? [false, true] : [false]) {
    rows.push(measureAttention(instructions, integers, integers ? most.integers : most.floats));
    console.log(line(rows.at(-1)!));
  }
}
if (rows.some(({ error }) => error)) process.exitCode = 1;
if (forms.length === 0) {
  const result: WasmResult = {
    bench: "wasm",
    adapter: undefined,
    environment: here,
    instructions,
    ceilings: top,
    rows,
  };
  console.log(writeResult(result));
}
