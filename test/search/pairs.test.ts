import { describe, expect, it } from "vitest";
import { VectorIndex } from "../../src/node/vector-index.ts";
import type { Pair } from "../../src/search/pairs.ts";
import { mismatch } from "../../src/support/error.ts";

/** Numbers that look random and are the same at every run, from -1 to 1. */
function noise(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    const mixed = Math.imul(i ^ (i >>> 7) ^ seed, 0x9e3779b1);
    return (Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >> 8) / 2 ** 23;
  });
}

/** Rows of length 1, each some of the one so many before it and of what is common to all. */
function near(count: number, width: number, period: number, common: number): Float32Array {
  const values = noise(count * width, 11);
  const shared = noise(width, 3);
  for (let row = 0; row < count; row++) {
    const at = values.subarray(row * width, (row + 1) * width);
    const before = values.subarray((row - period) * width, (row - period + 1) * width);
    if (row >= period && row % 3 === 0)
      for (let d = 0; d < width; d++) at[d] = before[d] + (0.5 * at[d]) / 2 ** (row % 7);
    else for (let d = 0; d < width; d++) at[d] += common * shared[d];
    const length = Math.hypot(...at);
    for (let d = 0; d < width; d++) at[d] /= length;
  }
  return values;
}

/** What a loop over all pairs in float64 finds. */
function bruteForce(rows: Float32Array, width: number, above: number): Pair[] {
  const found: Pair[] = [];
  for (let second = 0; second * width < rows.length; second++) {
    for (let first = 0; first < second; first++) {
      let score = 0;
      for (let d = 0; d < width; d++) score += rows[second * width + d] * rows[first * width + d];
      if (score >= above) found.push({ first, second, score });
    }
  }
  return found;
}

async function sorted(pairs: AsyncIterable<Pair>): Promise<Pair[]> {
  const found: Pair[] = [];
  for await (const pair of pairs) found.push(pair);
  return found.sort((a, b) => a.second - b.second || a.first - b.first);
}

describe("pairs", () => {
  for (const [what, count, width, period, common, above] of [
    ["of few, in loops", 300, 24, 7, 0, 0.9],
    ["of several blocks", 4300, 16, 1000, 0.3, 0.97],
    ["by some columns", 700, 520, 40, 0.5, 0.95],
    ["by all columns, since some leave too many", 700, 520, 40, 3, 0.93],
  ] as const) {
    it(`are those that comparing every two in float64 finds: ${what}`, async () => {
      using index = new VectorIndex(width);
      const rows = near(count, width, period, common);
      index.add(rows);
      const wanted = bruteForce(rows, width, above);
      expect(wanted.length).toBeGreaterThan(count / 20);
      expect(await sorted(index.pairs({ above }))).toEqual(wanted);
    });
  }

  it("are found where sums in float32 overflow, and where rows are too short for integers", async () => {
    const [count, width] = [900, 64];
    const rows = new Float32Array(count * width);
    rows[70 * width] = rows[170 * width] = 3e38;
    rows[71 * width] = 2e38;
    rows[72 * width] = 1e-30;
    using index = new VectorIndex(width);
    index.add(rows);
    expect(await sorted(index.pairs({ above: 1e8 }))).toEqual(bruteForce(rows, width, 1e8));
    expect(bruteForce(rows, width, 1e8)).toHaveLength(6);
  });

  it("leave out what was taken out, and what is added meanwhile", async () => {
    using index = new VectorIndex(2);
    index.add(Float32Array.of(1, 0, 1, 0, 1, 0));
    index.remove(1);
    const pairs = index.pairs({ above: 0.9 });
    expect((await pairs.next()).value).toEqual({ first: 0, second: 2, score: 1 });
    index.add(Float32Array.of(1, 0));
    expect(await pairs.next()).toEqual({ done: true, value: undefined });
  });

  it("hear an abort, and end what they began where nobody reads on", async () => {
    using index = new VectorIndex(64);
    index.add(near(2000, 64, 3, 1));
    const abort = new AbortController();
    setTimeout(() => abort.abort(mismatch("bad-input", "all", "less", "enough", "end")));
    await expect(sorted(index.pairs({ above: 0.9, signal: abort.signal }))).rejects.toThrow("enough");
    for await (const { score } of index.pairs({ above: 0.9 })) {
      expect(score).toBeGreaterThanOrEqual(0.9);
      break;
    }
    await expect(index.pairs({ above: Number.NaN }).next()).rejects.toThrow(/^above: wanted .*, found NaN; /);
  });
});

describe("groups", () => {
  it("join whatever is near something of theirs, with the scores with the first", async () => {
    using index = new VectorIndex(2);
    const at = (degrees: number) => [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
    index.add(Float32Array.from([0, 100, 20, 105, 200, 10, 30].flatMap(at)), ["a", "b", "c", "d", "e", "f", "g"]);
    const groups = await index.groups({ above: Math.cos((12 * Math.PI) / 180) });
    expect(groups.map((group) => group.map(({ name }) => name))).toEqual([
      ["a", "c", "f", "g"],
      ["b", "d"],
    ]);
    for (const [place, degrees] of [0, 20, 10, 30].entries()) {
      expect(groups[0][place].score).toBeCloseTo(at(degrees)[0], 6);
    }
    index.remove(5);
    const without = index.groups({ above: 0.98 });
    index.add(Float32Array.from(at(200)));
    expect(await without).toHaveLength(2);
    expect(await new VectorIndex(3).groups({ above: 0.5 })).toEqual([]);
  });

  it("of as many as there are of one picture come soon", async () => {
    using index = new VectorIndex(600);
    const one = near(1, 600, 9, 0);
    for (let row = 0; row < 2000; row++) index.add(one);
    const [group, ...others] = await index.groups({ above: 0.99 });
    expect([group.length, others.length]).toEqual([2000, 0]);
  });
});
