import {
  FORMS,
  formsOf,
  type Instructions,
  type KernelName,
  kernelModule,
  linearSteps,
  packStep,
  probe,
  type Step,
  temporaryBytes,
  type WeightForm,
  weightBytes,
} from "../../kernels/wasm/index.ts";
import { padRows } from "../../src/tensor/packing.ts";
import { padded } from "../../src/tensor/shape.ts";
import { random } from "../../test/judge/reference.ts";
import { ceilings } from "./ceilings.ts";

/**
 * Every form of a linear map on one thread, at SigLIP so400m's shapes: `tsx bench/wasm/linear.ts [form ...]`. Each is
 * held against float64 before it is timed. A time is the sum of the best of each chunk's, which others on the machine
 * disturb least.
 */

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

class Bench {
  private readonly memory = new WebAssembly.Memory({ initial: 4096, maximum: 65536 });
  private readonly instructions: Instructions;
  private readonly kernels = new Map<KernelName, (params: number, chunk: number, scratch: number) => void>();
  private top = 1024;

  constructor(instructions: Instructions) {
    this.instructions = instructions;
  }

  clear(): void {
    this.top = 1024;
  }

  allocate(bytes: number): number {
    const at = this.top;
    this.top = Math.ceil((at + bytes) / 64) * 64 + 64;
    return at;
  }

  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, length);
  }

  put(values: Float32Array | Uint32Array): number {
    const at = this.allocate(values.byteLength);
    new Uint8Array(this.memory.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    return at;
  }

  /** The milliseconds of each step. */
  run(steps: readonly Step[], repeats = 1): number[] {
    return steps.map((step) => {
      const [kernel, params, scratch] = [this.kernel(step.kernel), this.put(step.params), this.allocate(step.scratch)];
      let total = 0;
      for (let chunk = 0; chunk < step.chunks; chunk++) {
        let best = Number.POSITIVE_INFINITY;
        for (let repeat = 0; repeat < repeats; repeat++) {
          const start = performance.now();
          kernel(params, chunk, scratch);
          best = Math.min(best, performance.now() - start);
        }
        total += best;
      }
      return total;
    });
  }

  private kernel(name: KernelName) {
    let run = this.kernels.get(name);
    if (!run) {
      const module = new WebAssembly.Module(kernelModule(name, this.instructions, { shared: false }));
      const { exports } = new WebAssembly.Instance(module, { env: { memory: this.memory } });
      run = exports.run as (params: number, chunk: number, scratch: number) => void;
      this.kernels.set(name, run);
    }
    return run;
  }
}

/** What a register loop of the form's own instruction does; two planes take two dots for a product. */
function ceilingOf(form: WeightForm, { madd }: Instructions): number {
  const arithmetic = FORMS[form][1];
  if (arithmetic === "f32") return top[madd ? "relaxed madd" : "multiply and add"];
  if (arithmetic === "i16") return top["dot of i16"];
  return top["relaxed dot of i8"] / (arithmetic === "i8x2" ? 2 : 1);
}

function measure(bench: Bench, instructions: Instructions, form: WeightForm, shape: (typeof SHAPES)[number]): string {
  const [rows, depth, out] = shape;
  bench.clear();
  const [x, w, bias] = [random(rows * depth, 1), random(out * depth, 2, 0.03), random(out, 3)];
  const weight = bench.allocate(weightBytes(form, out, depth));
  const flag = bench.allocate(4);
  const source = bench.put(w);
  const packing = packStep(form, { address: source, dtype: "F32", rows: out, depth, flag }, 0, weight);
  bench.run([packing]);
  const [packed] = bench.run([packing], 3);
  const y = bench.allocate(4 * rows * padded(out));
  const steps = linearSteps(
    form,
    {
      ...{ x: bench.put(padRows(x, depth, padded(depth))), xStride: padded(depth), rows, depth, out, weight },
      ...{ bias: bench.put(padRows(bias, out, padded(out))), y, yStride: padded(out) },
      temporary: bench.allocate(temporaryBytes(form, rows, depth)),
    },
    instructions,
  );
  bench.run(steps, 1);
  let error = 0;
  let power = 0;
  for (let i = 0; i < 500; i++) {
    const [row, column] = [(i * 7919) % rows, (i * 104729) % out];
    let sum = bias[column];
    for (let k = 0; k < depth; k++) sum += x[row * depth + k] * w[column * depth + k];
    error += (bench.floats(y, rows * padded(out))[row * padded(out) + column] - sum) ** 2;
    power += sum ** 2;
  }
  if (!(error / power < LOSS[FORMS[form][0]])) return `wrong: ${error / power}`;
  const times = bench.run(steps, REPEATS);
  const total = times.reduce((sum, time) => sum + time);
  const rate = (2 * rows * depth * out) / total / 1e6;
  const rounding = times.length > 1 ? `, of it x ${times[0].toFixed(2)} ms` : "";
  const million = ((out * depth) / packed / 1e3).toFixed(0);
  const share = ((100 * rate) / ceilingOf(form, instructions)).toFixed(0);
  return [
    `${rate.toFixed(1).padStart(6)} G (${share}%)`,
    `${total.toFixed(2)} ms${rounding}`,
    `error ${(error / power).toExponential(1)}`,
    `packed at ${million} M/s`,
  ].join("; ");
}

const instructions = probe();
if (!instructions) throw new Error("This engine has no SIMD.");
const asked = process.argv.slice(2);
const top = ceilings();
console.log(`Node ${process.version}, ${JSON.stringify(instructions)}; one thread`);
console.log("G multiply-adds x 2 a second, as a share of what registers alone do");
for (const [name, rate] of Object.entries(top)) console.log(`  registers only, ${name}: ${rate.toFixed(1)}`);
for (const shape of SHAPES) {
  console.log(shape.join(" x "));
  for (const form of formsOf(instructions)) {
    if (asked.length > 0 && !asked.includes(form)) continue;
    console.log(`  ${form.padEnd(8)} ${measure(new Bench(instructions), instructions, form, shape)}`);
  }
}
