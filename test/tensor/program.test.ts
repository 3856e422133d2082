import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bindTowers, imageProgram, textProgram } from "../../src/model/towers.ts";
import { planBuffers } from "../../src/tensor/buffer-plan.ts";
import { costs } from "../../src/tensor/cost.ts";
import { operandsOf, type Program, Recorder } from "../../src/tensor/program.ts";
import { padded, rowCount, size } from "../../src/tensor/shape.ts";
import { openGolden } from "../harness/golden.ts";

const weight = (name: string, ...shape: number[]) => ({ name, shape, dtype: "f32" }) as const;
const map = (out: number, depth: number) => ({ weight: weight("w", out, depth), bias: weight("b", out) });

describe("a program", () => {
  it("refuses shapes that do not fit, at once and by name", () => {
    const p = new Recorder();
    const x = p.input("x", [2, 3, 8]);
    const view = (value = x, offset = 0, width = 4) => ({ value, offset, width });
    expect(() => p.linear(x, map(5, 7))).toThrow(/linear: wanted x of \[\.\.\., 7\], found \[2, 3, 8\]/);
    expect(() => p.linear(x, { weight: weight("w", 5, 8), bias: weight("b", 4) })).toThrow(
      /a bias of \[5\], found \[4\]/,
    );
    expect(() => p.linear(x, map(5, 8), { add: p.input("y", [3, 4]) })).toThrow(/an addend of \[2, 3, 5\] or \[3, 5\]/);
    expect(() => p.linear(x, map(8, 8), { add: p.linear(x, map(8, 8)) })).toThrow(/an addend kept in float32/);
    const norm = { weight: weight("w", 8), bias: weight("b", 8), eps: 1e-6 };
    expect(() => p.layerNorm(x, { ...norm, eps: 0 })).toThrow(/an eps above 0, found 0/);
    expect(() => p.layerNorm(x, { ...norm, bias: weight("b", 7) })).toThrow(/a bias of \[8\], found \[7\]/);
    expect(() => p.attention(view(), view(x, 6), view(), 2)).toThrow(/columns within \[2, 3, 8\], found 6 to 10/);
    expect(() => p.attention(view(), view(), view(), 3)).toThrow(/heads that divide 4, found 3/);
    expect(() => p.attention(view(), view(), view(p.input("v", [2, 4, 8])), 2)).toThrow(/q, k and v of one batch/);
    expect(() => p.attention(view(), view(p.linear(x, map(8, 8))), view(), 2)).toThrow(/of one precision/);
    const lengths = p.input("lengths", [3]);
    expect(() => p.attention(view(), view(), view(), 2, lengths)).toThrow(/lengths of \[2\], found \[3\]/);
    for (const row of [-1, 6, 0.5]) expect(() => p.rows(x, [row])).toThrow(/rows below 6/);
  });

  it("is plain data: it survives being posted to a worker", async () => {
    const { config } = await openGolden("tiny-hd72");
    const program = imageProgram(bindTowers(config, "q4").vision, 2, true);
    expect(structuredClone(program)).toEqual(program);
    expect(JSON.parse(JSON.stringify(program))).toEqual(JSON.parse(JSON.stringify(structuredClone(program))));
  });

  it("counts so400m's work as the paper's shapes give it", async () => {
    const { config } = await openGolden("so400m-384");
    const { vision, text } = bindTowers(config, "f16");
    const total = (program: Program) => costs(program).reduce((sum, { flops }) => sum + flops, 0) / 1e9;
    // 27 layers x 729 tokens x 15.2 M multiply-adds and the attention, the MAP head beside.
    expect(total(imageProgram(vision, 1))).toBeGreaterThan(660);
    expect(total(imageProgram(vision, 1))).toBeLessThan(680);
    expect(total(textProgram(text, 1))).toBeGreaterThan(52);
    expect(total(textProgram(text, 1))).toBeLessThan(54);
    expect(imageProgram(vision, 1).operations).toHaveLength(7 * 27 + 9);
  });
});

describe("a plan of buffers", () => {
  /** Throws where a value would be overwritten before its last use, or does not fit. */
  function check(program: Program, bytesOf: (shape: readonly number[]) => number): void {
    const plan = planBuffers(program, ({ shape }) => bytesOf(shape));
    const holder = new Map<number, number>();
    const put = (id: number) => {
      const buffer = plan.of[id]!;
      expect(plan.sizes[buffer]).toBeGreaterThanOrEqual(bytesOf(program.values[id].shape));
      holder.set(buffer, id);
    };
    for (const { id, input } of program.values) if (input !== undefined) put(id);
    for (const operation of program.operations) {
      const held = operandsOf(operation).filter((id) => !program.values[id].weight);
      for (const id of held) expect(holder.get(plan.of[id]!), `value ${id}`).toBe(id);
      put(operation.y);
      // No operation may write where it reads.
      for (const id of held) expect(plan.of[operation.y]).not.toBe(plan.of[id]);
    }
    for (const { value } of program.outputs) expect(holder.get(plan.of[value]!), `output ${value}`).toBe(value);
    expect([...plan.sizes].sort((a, b) => b - a)).toEqual(plan.sizes);
  }

  const bytes = (shape: readonly number[]) => 4 * rowCount(shape) * padded(shape.at(-1)!);

  it("keeps every value until its last use, in any program", () => {
    const step = fc.record({
      from: fc.nat(),
      add: fc.option(fc.nat()),
      out: fc.integer({ min: 1, max: 90 }),
      tap: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        const p = new Recorder({ taps: true });
        const values = [p.input("a", [3, 8]), p.input("b", [3, 40])];
        for (const [index, { from, add, out, tap }] of steps.entries()) {
          const x = values[from % values.length];
          const fitting = add === null ? [] : values.filter(({ shape }) => shape[1] === out);
          const options = { add: fitting[(add ?? 0) % fitting.length], exact: true };
          values.push(p.linear(x, map(out, x.shape[1]), options));
          if (tap) p.tap(`${index}`, values.at(-1)!);
        }
        p.output("y", values.at(-1)!);
        check(p.finish(), bytes);
      }),
    );
  });

  it("takes few buffers for a tower, and all of them for its taps", async () => {
    const { config } = await openGolden("so400m-384");
    const { vision } = bindTowers(config, "f16");
    const plain = imageProgram(vision, 1);
    check(plain, bytes);
    const plan = planBuffers(plain, ({ shape }) => bytes(shape));
    expect(plan.sizes.length).toBeLessThanOrEqual(4);
    // The MLP, and three of the residual stream's size.
    const most = 729 * 4 * (3 * padded(1152) + padded(4304));
    expect(plan.sizes.reduce((a, b) => a + b)).toBeLessThanOrEqual(most);
    const tapped = imageProgram(vision, 1, true);
    check(tapped, bytes);
    expect(tapped.outputs).toHaveLength(27 + 3);
    expect(size(tapped.values[tapped.outputs[0].value].shape)).toBe(729 * 1152);
  });
});
