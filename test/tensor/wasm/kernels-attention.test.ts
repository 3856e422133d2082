import { describe, expect, it } from "vitest";
import { attentionStep, type Instructions } from "../../../kernels/wasm/index.ts";
import { padded } from "../../../kernels/wasm/params.ts";
import * as reference from "../../judge/reference.ts";
import { random } from "../../judge/reference.ts";
import { ENGINES, errorOf, Machine, nameOf, useEngines } from "./machine.ts";

useEngines();

/** Of the squares, in f32. */
const BOUND = 1e-11;

/** Weights are of 14 bits, of which half a step is 3e-5 of the greatest, and thus 3e-4 of one a tenth as large. */
const INTEGER_BOUND = 1e-7;

/** Batch, queries, keys, heads, features of a head, scale. */
const ATTENTION: [number, number, number, number, number, number?][] = [
  [1, 1, 1, 1, 1],
  [2, 64, 64, 2, 72],
  [1, 65, 65, 1, 64],
  [2, 33, 33, 2, 96],
  [2, 19, 19, 3, 7],
  [1, 5, 5, 1, 300],
  [1, 730, 730, 1, 8],
  [3, 1, 1024, 2, 72],
  [2, 2, 65, 2, 64],
  [1, 33, 33, 2, 16, 50],
];

interface Sizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly head: number;
  readonly scale?: number;
  readonly lengths?: readonly number[];
  readonly integers?: boolean;
  /** Changes the numbers before they are multiplied. */
  readonly change?: (q: Float32Array, kv: Float32Array) => void;
}

/** What comes out, and what should; queries beyond an item's length are nobody's concern and left out. */
function attend(engine: Instructions, sizes: Sizes) {
  const { batch, queries, keys, heads, head, scale = 1, lengths, integers = false, change } = sizes;
  const m = new Machine(engine);
  const width = heads * head;
  const self = queries === keys;
  const parts = self ? 3 : 2;
  const kv = random(batch * keys * width * parts, 9, scale);
  const q = self ? kv : random(queries * width, 8, scale);
  change?.(q, kv);
  const stride = padded(parts * width);
  const visible = kv.slice();
  for (const [item, length] of (lengths ?? []).entries()) {
    visible.fill(Number.NaN, (item * keys + length) * parts * width, (item + 1) * keys * parts * width);
  }
  const kvAt = m.putRows(visible, parts * width, stride);
  const qAt = self ? kvAt : m.putRows(q, width, padded(width));
  const y = m.allocate(4 * batch * queries * padded(width));
  const step = attentionStep({
    q: { address: qAt, stride: self ? stride : padded(width), offset: 0, single: !self },
    k: { address: kvAt, stride, offset: (parts - 2) * width },
    v: { address: kvAt, stride, offset: (parts - 1) * width },
    ...{ batch, queries, keys, heads, head, y, integers },
    yStride: padded(width),
    lengths: lengths && m.put(Float32Array.from(lengths)),
  });
  m.run(step);
  const view = (data: Float32Array, tokens: number, part: number, of: number) => ({
    ...{ data, tokens, stride: of * width, offset: part * width },
  });
  const rounded = integers
    ? { q: inBits(q, head, 8191), k: inBits(kv, head, 127), v: columnsInBits(kv, { ...sizes, parts }) }
    : { q, k: kv, v: kv };
  const expected = reference.attention(
    view(rounded.q, queries, 0, self ? 3 : 1),
    view(rounded.k, keys, parts - 2, parts),
    view(rounded.v, keys, parts - 1, parts),
    ...([width, heads, lengths] as const),
  );
  const actual = m.getRows(y, batch * queries, width, padded(width));
  const count = (_: unknown, at: number) =>
    !lengths || Math.floor(at / width) % queries < lengths[Math.floor(at / (queries * width))];
  return { kernel: step.kernel, actual: actual.filter(count), expected: expected.filter(count) };
}

/** A scale that makes the greatest of some numbers `most`, and the nearest multiples of it. */
function nearest(values: Float32Array, at: readonly number[], most: number, to: Float32Array): void {
  const top = Math.fround(Math.max(...at.map((i) => Math.abs(values[i]))));
  const [inverse, scale] = [Math.fround(most / Math.max(top, 2 ** -100)), Math.fround(top * Math.fround(1 / most))];
  for (const i of at) {
    const exact = Math.fround(values[i] * inverse);
    // Ties to even.
    to[i] = (Math.abs(exact % 1) === 0.5 ? 2 * Math.round(exact / 2) : Math.round(exact)) * scale;
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Every head of every row with a scale of its own. */
function inBits(values: Float32Array, head: number, most: number): Float32Array {
  const to = values.slice();
  for (let at = 0; at < values.length; at += head) {
    nearest(
      values,
      numbers(head).map((d) => at + d),
      most,
      to,
    );
  }
  return to;
}

/** Every feature of an item's values with a scale for all keys that count. */
function columnsInBits(values: Float32Array, sizes: Sizes & { parts: number }): Float32Array {
  const { batch, keys, heads, head, parts, lengths } = sizes;
  const width = heads * head;
  const to = values.slice();
  for (let item = 0; item < batch; item++) {
    for (let column = 0; column < width; column++) {
      const first = (item * keys * parts + parts - 1) * width + column;
      nearest(
        values,
        numbers(lengths?.[item] ?? keys).map((key) => first + key * parts * width),
        127,
        to,
      );
    }
  }
  return to;
}

for (const engine of ENGINES) {
  describe(`attention, ${nameOf(engine)}`, () => {
    for (const [batch, queries, keys, heads, head, scale = 1] of ATTENTION) {
      const name = `${batch} x ${heads} heads of ${head}, ${queries} queries, ${keys} keys, times ${scale}`;
      const sizes = { batch, queries, keys, heads, head, scale };
      it(name, () => {
        const { actual, expected } = attend(engine, sizes);
        expect(errorOf(actual, expected)).toBeLessThan(BOUND);
      });
      if (!engine.dot || head % 8 > 0) continue;
      it(`${name}, as integers`, () => {
        const { kernel, actual, expected } = attend(engine, { ...sizes, integers: true });
        expect(kernel).toBe("attention-integers");
        expect(errorOf(actual, expected)).toBeLessThan(INTEGER_BOUND);
      });
    }

    it("of scores beyond 1e5", () => {
      const whole = (values: Float32Array) => values.set(values.map(Math.round));
      const sizes = { batch: 1, queries: 33, keys: 33, heads: 2, head: 16, scale: 300, change: whole };
      const { actual, expected } = attend(engine, sizes);
      expect(errorOf(actual, expected)).toBeLessThan(BOUND);
    });

    for (const integers of engine.dot ? [false, true] : [false]) {
      const how = integers ? ", as integers" : "";
      it(`leaves out what lies beyond an item's length${how}`, () => {
        const shape = { batch: 3, queries: 20, keys: 20, heads: 2, head: 16 };
        const { actual, expected } = attend(engine, { ...shape, lengths: [20, 1, 13], integers });
        expect(errorOf(actual, expected)).toBeLessThan(integers ? INTEGER_BOUND : BOUND);
      });

      it(`gives the mean of the values where queries are zero${how}`, () => {
        const change = (q: Float32Array) => q.fill(0);
        const { actual, expected } = attend(engine, {
          ...{ batch: 1, queries: 2, keys: 13, heads: 1, head: 8, integers, change },
        });
        expect(errorOf(actual, expected)).toBeLessThan(integers ? INTEGER_BOUND : BOUND);
      });

      it(`gives no numbers where there are none${how}`, () => {
        const sizes = { batch: 1, queries: 9, keys: 9, heads: 1, head: 8, integers };
        // A query of the second token, one of its keys, and a feature of one of the values.
        const all = numbers(72);
        for (const [at, wrong] of [
          [24, all.filter((i) => i >= 8 && i < 16)],
          [24 + 8, all],
          [24 + 16, all.filter((i) => i % 8 === 0)],
        ] as const) {
          const { actual } = attend(engine, { ...sizes, change: (_, kv) => kv.fill(Number.NaN, at, at + 1) });
          expect(all.filter((i) => Number.isNaN(actual[i]))).toEqual(wrong);
        }
      });
    }
  });
}

it("multiplies integers only where their sums fit and rows are whole words", () => {
  const columns = { address: 64, stride: 96, offset: 0 };
  const call = { q: columns, k: columns, v: columns, batch: 1, queries: 1, heads: 1, y: 64, yStride: 96 };
  const kernel = (keys: number, head: number, integers = true) =>
    attentionStep({ ...call, keys, head, integers }).kernel;
  for (const [keys, head] of [
    [1024, 72],
    [64, 1024],
  ]) {
    expect(kernel(keys, head)).toBe("attention-integers");
  }
  for (const [keys, head, integers] of [
    ...[
      [1025, 72],
      [64, 1032],
      [64, 12],
    ].map(([keys, head]) => [keys, head, true] as const),
    [64, 72, false] as const,
  ]) {
    expect(kernel(keys, head, integers)).toBe("attention");
  }
});
