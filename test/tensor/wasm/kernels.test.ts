import { describe, expect, it } from "vitest";
import { Module } from "../../../kernels/wasm/assembler.ts";
import { kernelModule, kernelNames, layerNormStep, rowsStep } from "../../../kernels/wasm/index.ts";
import { i32, v128 } from "../../../kernels/wasm/instructions.ts";
import { exp2, gelu, maddOf } from "../../../kernels/wasm/math.ts";
import { padded } from "../../../kernels/wasm/params.ts";
import * as shape from "../../../src/tensor/shape.ts";
import * as reference from "../../judge/reference.ts";
import { random } from "../../judge/reference.ts";
import { ENGINES, errorOf, Machine, nameOf, useEngines } from "./machine.ts";

useEngines();

const BOUND = 1e-11;

/** Rows, width, scale, one massive feature. */
const NORM = [
  [1, 1, 1, 0],
  [3, 7, 1, 0],
  [65, 144, 1, 0],
  [33, 1152, 1, 0],
  [9, 144, 1, 300],
  [9, 144, 70000, 0],
  [9, 144, 1e-4, 0],
] as const;

it("pads as backends do", () => {
  expect([1, 31, 32, 33].map(padded)).toEqual([1, 31, 32, 33].map(shape.padded));
});

for (const engine of ENGINES) {
  describe(`kernels, ${nameOf(engine)}`, () => {
    it("are valid, with memory of one's own or shared", () => {
      for (const name of kernelNames(engine)) {
        for (const shared of [false, true]) {
          expect([name, WebAssembly.validate(kernelModule(name, engine, { shared }))]).toEqual([name, true]);
        }
      }
    });

    it("exp2 and gelu err as they say", () => {
      const m = new Module();
      m.function(3, (f, from, below, apart) => {
        f.for(from, below, 16, (at) => {
          const x = f.let(v128.load(at));
          f.do(v128.store(i32.add(at, apart), exp2(f, maddOf(engine), x)));
          f.do(v128.store(i32.add(i32.add(at, apart), apart), gelu(f, maddOf(engine), x)));
        });
      });
      const memory = new WebAssembly.Memory({ initial: 32 });
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.assemble({ shared: false })), {
        env: { memory },
      });
      const count = 100_000;
      const [x, powers, made] = [0, 1, 2].map((part) => new Float32Array(memory.buffer, 4 * count * part, count));
      x.set(x.map((_, i) => -126 + (253 * i) / count));
      (exports.run as (from: number, below: number, apart: number) => void)(0, 4 * count, 4 * count);
      let relative = 0;
      let absolute = 0;
      for (let i = 0; i < count; i++) {
        relative = Math.max(relative, Math.abs(powers[i] / 2 ** x[i] - 1));
        absolute = Math.max(absolute, Math.abs(made[i] - reference.geluTanh(x[i])) / Math.max(1, Math.abs(x[i])));
      }
      expect(relative).toBeLessThan(3.5e-7);
      expect(absolute).toBeLessThan(1e-6);
      x.set([-1000, 1000, 0, -1e30, 1e30, -127, 128, -0]);
      (exports.run as (from: number, below: number, apart: number) => void)(0, 32, 4 * count);
      expect(powers[0]).toBe(0);
      expect([...made.subarray(0, 5)].map((value, i) => Math.abs(value - Math.max(0, x[i])) < 1e-6)).not.toContain(
        false,
      );
    });

    for (const [rows, width, scale, massive] of NORM) {
      it(`layerNorm [${rows}, ${width}] times ${scale}, one feature ${massive}`, () => {
        const m = new Machine(engine);
        const x = random(rows * width, 5, scale);
        if (massive) for (let i = Math.floor(width / 3); i < x.length; i += width) x[i] = massive;
        const [weight, bias] = [random(width, 6), random(width, 7)];
        const stride = padded(width);
        const y = m.allocate(4 * rows * stride);
        const at = {
          x: m.putRows(x, width, stride),
          weight: m.putRows(weight, width, stride),
          bias: m.putRows(bias, width, stride),
        };
        m.run(layerNormStep({ ...at, xStride: stride, rows, width, eps: 1e-6, y, yStride: stride }));
        const expected = reference.layerNorm(x, weight, bias, 1e-6);
        expect(errorOf(m.getRows(y, rows, width, stride), expected)).toBeLessThan(BOUND);
      });
    }

    it("rows that are picked", () => {
      const m = new Machine(engine);
      const x = random(50 * 33, 12);
      const indices = Array.from({ length: 70 }, (_, i) => (i * 7) % 50);
      const y = m.allocate(4 * 70 * 64);
      const at = { x: m.putRows(x, 33, 64), indices: m.put(Int32Array.from(indices)) };
      m.run(rowsStep({ ...at, xStride: 64, rows: 70, width: 33, y, yStride: 64 }));
      const expected = indices.flatMap((row) => [...x.subarray(row * 33, (row + 1) * 33)]);
      expect([...m.getRows(y, 70, 33, 64)]).toEqual(expected);
    });
  });
}
