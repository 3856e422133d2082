import { describe, expect, it } from "vitest";
import {
  FORMS,
  formsOf,
  type Instructions,
  linearSteps,
  packStep,
  type Stored,
  temporaryBytes,
  type WeightForm,
  weightBytes,
} from "../../../kernels/wasm/index.ts";
import { padded } from "../../../kernels/wasm/params.ts";
import { floatToHalf, halfToFloat } from "../../../src/support/numbers.ts";
import { padRows } from "../../../src/tensor/packing.ts";
import { packRows, unpackRows } from "../../../src/tensor/quantise.ts";
import { GROUP } from "../../../src/tensor/shape.ts";
import * as reference from "../../judge/reference.ts";
import { random } from "../../judge/reference.ts";
import { ENGINES, errorOf, Machine, nameOf, useEngines } from "./machine.ts";

useEngines();

interface Options {
  gelu?: boolean;
  /** Rows of the addend. */
  add?: number;
  scale?: number;
  /** One feature of x. */
  massive?: number;
}

/** Rows, depth, out. */
const CASES: [number, number, number, Options?][] = [
  ...[1, 3, 63, 64, 65, 729].map((rows): [number, number, number] => [rows, 48, 40]),
  [1, 1, 1],
  [5, 101, 7],
  [2, 4304, 33],
  [7, 588, 24],
  [65, 33, 129, { gelu: true }],
  [66, 31, 65, { add: 66 }],
  [75, 64, 80, { gelu: true, add: 25 }],
  [9, 64, 64, { gelu: true, scale: 30 }],
  [9, 64, 64, { gelu: true, scale: 1000 }],
  [9, 144, 40, { massive: 300 }],
];

/** Mean squared error against x and weights as they are multiplied: that of f32 sums over the depth. */
const BOUND = 1e-11;

/** Against exact x: what rounding it costs. */
const LOSS = { f32: BOUND, i16: 1e-7, i8x2: 1e-7, "i8-7": 3e-4, "i8-8": 1e-4, "i8-signed": 1e-4 };

function nearestEven(value: number): number {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down & 1) : Math.round(value);
}

/** Integers of at most `top`, times a scale, of groups of so many. */
function roundGroups(x: Float32Array, group: number, top: number): Float32Array {
  const out = new Float32Array(x.length);
  for (let from = 0; from < x.length; from += group) {
    const part = x.subarray(from, from + group);
    const most = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const inverse = Math.fround(top / most);
    const scale = Math.fround(most * Math.fround(1 / top));
    for (const [i, value] of part.entries()) {
      const code = Math.max(-top, Math.min(top, nearestEven(Math.fround(value * inverse))));
      out[from + i] = most === 0 ? 0 : code * scale;
    }
  }
  return out;
}

function unpad(x: Float32Array, stride: number, width: number): Float32Array {
  return x.filter((_, i) => i % stride < width);
}

/** What kind of numbers x becomes. */
function activation(form: WeightForm, { dot8 }: Instructions): keyof typeof LOSS {
  const [stored, arithmetic] = FORMS[form];
  if (arithmetic !== "i8") return arithmetic;
  return stored === "q4" ? "i8-signed" : dot8 ? "i8-8" : "i8-7";
}

function asMultiplied(x: Float32Array, depth: number, kind: keyof typeof LOSS): Float32Array {
  if (kind === "f32") return x;
  const wide = padRows(x, depth, padded(depth));
  const rounded = kind.startsWith("i8-")
    ? roundGroups(wide, GROUP, kind === "i8-7" ? 63 : 127)
    : roundGroups(wide, padded(depth), 8191);
  return unpad(rounded, padded(depth), depth);
}

function asStored(w: Float32Array, depth: number, stored: Stored): Float32Array {
  if (stored === "f32") return w;
  if (stored === "f16") return w.map((value) => halfToFloat(floatToHalf(value)));
  if (stored !== "i14") return unpackRows(packRows(w, depth, stored) as Parameters<typeof unpackRows>[0], depth);
  const halves = w.map((value) => halfToFloat(floatToHalf(value)));
  const wide = padRows(halves, depth, padded(depth));
  for (let from = 0; from < wide.length; from += GROUP) {
    const group = wide.subarray(from, from + GROUP);
    const top = group.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const half = halfToFloat(floatToHalf(Math.fround(top * (1 + 2 ** -11))));
    const inverse = Math.fround(8191 / half);
    for (const [i, value] of group.entries()) {
      group[i] = half && (nearestEven(Math.fround(value * inverse)) * half) / 8191;
    }
  }
  return unpad(wide, padded(depth), depth);
}

/** A linear map by way of packing and all its steps. */
function linear(engine: Instructions, form: WeightForm, [rows, depth, out, options = {}]: (typeof CASES)[number]) {
  const { gelu = false, add = 0, scale = 1, massive = 0 } = options;
  const m = new Machine(engine);
  const [x, w] = [random(rows * depth, 1, scale), random(out * depth, 2, 1 / Math.sqrt(depth))];
  if (massive) for (let i = Math.floor(depth / 3); i < x.length; i += depth) x[i] = massive;
  const [bias, addend] = [random(out, 3), random(Math.max(1, add) * out, 4)];
  const weight = m.allocate(weightBytes(form, out, depth));
  const flag = m.put(Int32Array.of(0));
  // In two pieces, as they come from a file.
  const half = Math.min(out, 8 * Math.ceil(out / 16));
  for (const [first, last] of [
    [0, half],
    [half, out],
  ]) {
    const source = { address: m.put(w.slice(first * depth, last * depth)), dtype: "F32" as const, depth, flag };
    if (first < last) m.run(packStep(form, { ...source, rows: last - first }, first, weight));
  }
  const stride = padded(out);
  const y = m.allocate(4 * rows * stride);
  const call = {
    ...{ x: m.putRows(x, depth, padded(depth)), xStride: padded(depth), rows, depth, out, weight, y, yStride: stride },
    bias: m.putRows(bias, out, stride),
    gelu,
    add: add ? { address: m.putRows(addend, out, stride), stride, rows: add } : undefined,
    temporary: m.allocate(temporaryBytes(form, rows, depth)),
  };
  m.run(...linearSteps(form, call, engine));
  expect(m.bytes(flag, 1)[0]).toBe(0);
  const actual = m.getRows(y, rows, out, stride);
  const kind = activation(form, engine);
  const weights = asStored(w, depth, FORMS[form][0]);
  const more = { gelu, add: add ? addend : undefined };
  return {
    kind,
    error: errorOf(actual, reference.linear(asMultiplied(x, depth, kind), weights, bias, depth, more)),
    loss: errorOf(actual, reference.linear(x, weights, bias, depth, more)),
  };
}

for (const engine of ENGINES) {
  for (const form of formsOf(engine)) {
    describe(`linear, ${form}, ${nameOf(engine)}`, () => {
      for (const shape of CASES) {
        const [rows, depth, out, options = {}] = shape;
        it(`[${rows}, ${depth}] to ${out} ${Object.entries(options)}`, () => {
          const { kind, error, loss } = linear(engine, form, shape);
          expect(error).toBeLessThan(BOUND);
          if (!options.massive) expect(loss).toBeLessThan(LOSS[kind]);
        });
      }
    });
  }
}
