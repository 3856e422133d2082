import { describe, expect, it } from "vitest";
import { SearchIndex } from "../../src/search/search-index.ts";

/** Numbers that look random and are the same at every run, from -1 to 1. */
function noise(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >> 8) / 2 ** 23);
}

describe("the search index", () => {
  it("finds what a loop over all of them finds, at any size", () => {
    const [width, count] = [37, 500];
    const rows = noise(width * count);
    const index = new SearchIndex(width);
    for (let row = 0; row < count; row += 20) {
      expect(index.add(rows.subarray(row * width, (row + 20) * width))).toBe(row);
    }
    expect(index.size).toBe(count);
    const query = noise(width * 3).slice(-width);
    const scores = Array.from({ length: count }, (_, row) =>
      rows.subarray(row * width, (row + 1) * width).reduce((sum, value, d) => sum + value * query[d], 0),
    );
    const expected = scores.map((score, index) => ({ index, score })).sort((a, b) => b.score - a.score);
    // The same products added in the same order in float64: equal to the bit.
    expect(index.search(query)).toEqual(expected);
    expect(index.search(query, 7)).toEqual(expected.slice(0, 7));
    expect(index.row(33)).toEqual(rows.slice(33 * width, 34 * width));
  });

  it("gives of equals the one added first, and nothing where there is nothing", () => {
    const index = new SearchIndex(2);
    expect(index.search(new Float32Array(2))).toEqual([]);
    index.add(Float32Array.of(1, 0, 0, 1, 1, 0));
    expect(index.search(Float32Array.of(1, 0)).map(({ index }) => index)).toEqual([0, 2, 1]);
    expect(index.search(Float32Array.of(1, 0), 0)).toEqual([]);
  });

  it("takes embeddings as a model gives them", () => {
    const index = new SearchIndex(2);
    expect(index.add({ data: Float32Array.of(1, 0, 0, 1), shape: [2, 2] })).toBe(0);
    expect(index.size).toBe(2);
    expect(index.search({ data: Float32Array.of(0, 1), shape: [1, 2] }, 1)).toEqual([{ index: 1, score: 1 }]);
    expect(() => index.search({ data: Float32Array.of(0, 1, 1, 0), shape: [2, 2] })).toThrow(/found 4 values/);
  });

  it("refuses other widths and what is no number, in one sentence", () => {
    const index = new SearchIndex(3);
    const oneSentence = /^SearchIndex: wanted [^;]*, found [^;]*; [^;]*\.$/;
    for (const bad of [Float32Array.of(1, 2), Float32Array.of(1, Number.NaN, 3), [1, 2, 3], undefined]) {
      expect(() => index.add(bad as Float32Array)).toThrow(oneSentence);
      expect(() => index.search(bad as Float32Array)).toThrow(oneSentence);
    }
    expect(() => index.row(0)).toThrow(oneSentence);
    for (const width of [0, 1.5, Number.NaN]) expect(() => new SearchIndex(width)).toThrow(oneSentence);
  });
});
