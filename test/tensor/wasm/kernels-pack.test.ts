import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type FloatSource,
  packRowsStep,
  packStep,
  rowBytes,
  type Source,
  weightBytes,
} from "../../../kernels/wasm/index.ts";
import { float32ToHalf, toFloat32 } from "../../../src/support/numbers.ts";
import { padRows } from "../../../src/tensor/packing.ts";
import { packRows } from "../../../src/tensor/quantise.ts";
import { padded } from "../../../src/tensor/shape.ts";
import { random } from "../../judge/reference.ts";
import { ENGINES, Machine, useEngines } from "./machine.ts";

useEngines();

type Float = "F32" | "F16" | "BF16";

/** Floats as a checkpoint of this dtype stores them. */
function bytesOf(values: Float32Array, dtype: Float): Uint8Array {
  if (dtype === "F32") return new Uint8Array(values.slice().buffer);
  if (dtype === "F16") return new Uint8Array(float32ToHalf(values).buffer as ArrayBuffer);
  const bits = new Uint32Array(values.slice().buffer);
  return new Uint8Array(Uint16Array.from(bits, (word) => word >>> 16).buffer);
}

function sourceOf(m: Machine, values: Float32Array, depth: number, dtype: Float = "F32"): FloatSource {
  const bytes = bytesOf(values, dtype);
  // Rows lie as a file has them: at any address.
  const address = m.allocate(bytes.length + 1) + 1;
  new Uint8Array(m.memory.buffer).set(bytes, address);
  return { address, dtype, rows: values.length / depth, depth, flag: m.put(Int32Array.of(0)) };
}

/** Rows rounded by the kernel, row-major. */
function rounded(m: Machine, source: FloatSource, stored: "f32" | "f16" | "q8" | "q4") {
  const { codes, scales } = rowBytes(stored, source.depth);
  const [codesAt, scalesAt] = [codes, scales].map((bytes) => m.allocate(bytes * source.rows));
  m.run(packRowsStep(stored, source, codesAt, scalesAt));
  return {
    codes: m.bytes(codesAt, codes * source.rows),
    scales: m.bytes(scalesAt, scales * source.rows),
    odd: m.bytes(source.flag, 4)[0] === 1,
  };
}

/** Rows rounded by the host. */
function expected(values: Float32Array, depth: number, stored: "f32" | "f16" | "q8" | "q4") {
  const wide = padRows(values, depth, padded(depth));
  if (stored === "f32") return { codes: new Uint8Array(wide.buffer), scales: new Uint8Array() };
  const { bytes, scales } = packRows(wide, padded(depth), stored);
  return { codes: bytes, scales: scales ?? new Uint8Array() };
}

const [engine] = ENGINES;

describe("rounding weights", () => {
  for (const stored of ["f32", "f16", "q8", "q4"] as const) {
    for (const dtype of ["F32", "F16", "BF16"] as const) {
      it(`${dtype} to ${stored} gives the host's bits`, () => {
        const m = new Machine(engine);
        for (const [rows, depth, scale] of [
          [9, 101, 0.03],
          [3, 588, 1],
          [2, 64, 1e-5],
          [2, 1, 300],
          [5, 33, 1e-7],
        ]) {
          const source = sourceOf(m, random(rows * depth, rows, scale), depth, dtype);
          const values = toFloat32(m.bytes(source.address, rows * depth * (dtype === "F32" ? 4 : 2)), dtype);
          const found = rounded(m, source, stored);
          const wanted = expected(values, depth, stored);
          expect(Buffer.compare(found.codes, wanted.codes)).toBe(0);
          expect(Buffer.compare(found.scales, wanted.scales)).toBe(0);
          expect(found.odd).toBe(false);
        }
      });
    }

    it(`any numbers to ${stored} give the host's bits`, () => {
      const m = new Machine(engine);
      const value = fc.oneof(
        fc.float({ noNaN: true, noDefaultInfinity: true }),
        fc.float({ noNaN: true, noDefaultInfinity: true, min: -1, max: 1 }),
        // Ties: small multiples of a power of two.
        fc.integer({ min: -20, max: 20 }).map((whole) => whole / 8),
        fc.integer({ min: 0, max: 65535 }).map((bits) => toFloat32(Uint8Array.of(bits, bits >> 8), "BF16")[0] || 0),
        fc.constantFrom(0, -0, 65504, 65520, 65519.996, 2 ** -24, 2 ** -25, 2 ** -14, 3e38, -1e-45),
      );
      const group = fc
        .array(
          value.map((number) => (Number.isFinite(number) ? number : 1)),
          { minLength: 64, maxLength: 64 },
        )
        .map((numbers) => Float32Array.from(numbers));
      const at = m.allocate(4096);
      fc.assert(
        fc.property(group, fc.integer({ min: -40, max: 20 }), (numbers, power) => {
          const values = numbers
            .map((number) => number * 2 ** power)
            .map((number) => (Number.isFinite(number) ? number : 0));
          new Float32Array(m.memory.buffer, at, 64).set(values);
          const source: FloatSource = { address: at, dtype: "F32", rows: 1, depth: 64, flag: at + 512 };
          const { codes, scales } = rowBytes(stored, 64);
          m.again(packRowsStep(stored, source, at + 1024, at + 2048));
          const wanted = expected(values, 64, stored);
          expect([...m.bytes(at + 2048, scales)]).toEqual([...wanted.scales]);
          expect([...m.bytes(at + 1024, codes)]).toEqual([...wanted.codes]);
        }),
        { numRuns: 2000, seed: 1 },
      );
    });

    it(`to ${stored} tells of what is not finite`, () => {
      for (const dtype of ["F32", "F16", "BF16"] as const) {
        for (const at of [0, 31, 100]) {
          for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
            const m = new Machine(engine, 16);
            const values = random(3 * 101, 1);
            values[101 + at] = odd;
            expect(rounded(m, sourceOf(m, values, 101, dtype), stored).odd).toBe(true);
          }
        }
      }
    });
  }

  it("of every half gives it back", () => {
    const m = new Machine(engine);
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((half) => (half & 0x7c00) !== 0x7c00);
    const values = toFloat32(new Uint8Array(halves.buffer), "F16");
    for (const dtype of ["F32", "F16"] as const) {
      const { codes } = rounded(m, sourceOf(m, values, values.length / 62, dtype), "f16");
      expect(Buffer.compare(codes, new Uint8Array(halves.buffer))).toBe(0);
    }
  });
});

describe("packing panels", () => {
  for (const form of ["q8-f32", "q4-f32", "f16-f32"] as const) {
    it(`of ${form} takes rows that are packed already`, () => {
      const m = new Machine(engine);
      const [out, depth] = [21, 101];
      const [stored] = form.split("-") as ["q8" | "q4" | "f16"];
      const values = random(out * depth, 5, 0.1);
      const floats = sourceOf(m, values, depth);
      const rows = rounded(m, floats, stored);
      const bytes = weightBytes(form, out, depth);
      const [direct, again] = [m.allocate(bytes), m.allocate(bytes)];
      m.run(packStep(form, floats, 0, direct));
      const ready: Source =
        stored === "f16"
          ? sourceOf(m, values, depth, "F16")
          : { ...floats, dtype: stored === "q8" ? "Q8" : "Q4", address: m.put(rows.codes), scales: m.put(rows.scales) };
      m.run(packStep(form, ready, 0, again));
      expect(Buffer.compare(m.bytes(direct, bytes), m.bytes(again, bytes))).toBe(0);
    });
  }
});
