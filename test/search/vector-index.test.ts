import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VectorIndex } from "../../src/node/vector-index.ts";
import { Top } from "../../src/search/top.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "siglip-index-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Numbers that look random and are the same at every run, from -1 to 1. */
function noise(count: number, seed = 1): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (Math.imul(i + seed, 0x9e3779b1) >> 8) / 2 ** 23);
}

/** What a loop over all rows in float64 finds. */
function bruteForce(rows: Float32Array, query: Float32Array, most: number) {
  const width = query.length;
  const scores = Array.from({ length: rows.length / width }, (_, row) =>
    rows.subarray(row * width, (row + 1) * width).reduce((sum, value, d) => sum + value * query[d], 0),
  );
  const hits = scores.map((score, index) => ({ index, score }));
  return hits.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, most);
}

const all = { most: Number.POSITIVE_INFINITY };
const oneSentence = /^[^:]+: wanted [^;]*, found [^;]*; [^;]*\.$/;

describe("the index", () => {
  it("finds what a loop over all of them finds, at any size", async () => {
    const [width, count] = [37, 500];
    const rows = noise(width * count);
    const index = new VectorIndex(width);
    for (let row = 0; row < count; row += 20) {
      expect(index.add(rows.subarray(row * width, (row + 20) * width))).toBe(row);
    }
    expect(index.size).toBe(count);
    const query = noise(width * 3).slice(-width);
    // The same products added in the same order in float64: equal to the bit.
    expect(await index.search(query, all)).toEqual(bruteForce(rows, query, count));
    expect(await index.search(query, { most: 7 })).toEqual(bruteForce(rows, query, 7));
    expect(await index.search(query)).toHaveLength(10);
    expect(await index.row(33)).toEqual(rows.slice(33 * width, 34 * width));
  });

  it("gives of equals the one added first, and nothing where there is nothing", async () => {
    const index = new VectorIndex(2);
    expect(await index.search(new Float32Array(2))).toEqual([]);
    index.add(Float32Array.of(1, 0, 0, 1, 1, 0));
    expect((await index.search(Float32Array.of(1, 0))).map(({ index }) => index)).toEqual([0, 2, 1]);
    expect(await index.search(Float32Array.of(1, 0), { most: 0 })).toEqual([]);
  });

  it("takes embeddings as a model gives them, with names, and takes them out", async () => {
    const index = new VectorIndex(2);
    expect(index.add({ data: Float32Array.of(1, 0, 0, 1), shape: [2, 2] }, ["east", "north"])).toBe(0);
    expect(index.add(Float32Array.of(-1, 0))).toBe(2);
    expect(await index.search({ data: Float32Array.of(0, 1), shape: [1, 2] }, { most: 1 })).toEqual([
      { index: 1, score: 1, name: "north" },
    ]);
    index.remove(1);
    expect(index.size).toBe(2);
    expect((await index.search(Float32Array.of(1, 1))).map(({ name }) => name)).toEqual(["east", undefined]);
    expect(() => index.remove(1)).toThrow(oneSentence);
    await expect(index.row(1)).rejects.toThrow(oneSentence);
  });

  it("refuses other widths and what is no number, in one sentence", async () => {
    const index = new VectorIndex(3);
    for (const bad of [Float32Array.of(1, 2), Float32Array.of(1, Number.NaN, 3), [1, 2, 3], undefined]) {
      expect(() => index.add(bad as Float32Array)).toThrow(oneSentence);
      await expect(index.search(bad as Float32Array)).rejects.toThrow(oneSentence);
    }
    await expect(index.search(Float32Array.of(1, 0, 0), { most: -1 })).rejects.toThrow(oneSentence);
    await expect(index.row(0)).rejects.toThrow(oneSentence);
    expect(() => index.add(Float32Array.of(1, 2, 3), ["one", "two"])).toThrow(oneSentence);
    for (const width of [0, 1.5, Number.NaN]) expect(() => new VectorIndex(width)).toThrow(oneSentence);
  });
});

describe("many embeddings, compared as integers first", () => {
  const [width, count] = [1024, 18_000];
  const query = noise(width, 77);
  /** Near the query in steps finer than 8 bits tell apart, and of lengths that differ by powers of ten. */
  const rows = noise(width * count, 5);
  for (let near = 0; near < 300; near++) {
    const row = (near * 59) % count;
    for (let d = 0; d < width; d++) rows[row * width + d] = query[d] + 1e-3 * rows[row * width + d];
  }
  for (let row = 1; row < count; row += 97) {
    for (let d = 0; d < width; d++) rows[row * width + d] *= 10 ** -(row % 9);
  }

  it("gives the same ten to the bit, on one thread and on two, and without those removed", async () => {
    const best = bruteForce(rows, query, 30);
    for (const threads of [1, 2]) {
      using index = new VectorIndex(width, { threads });
      index.add(rows);
      expect(await index.search(query)).toEqual(best.slice(0, 10));
      for (const { index: one } of best.slice(0, 20)) index.remove(one);
      expect(await index.search(query)).toEqual(best.slice(20));
    }
  });

  it("stays in its file where it is large", async () => {
    const path = join(folder, "many.safetensors");
    using made = new VectorIndex(width);
    const names = Array.from({ length: count }, (_, row) => `${row}.jpg`);
    made.add(rows, names);
    await made.save(path);
    const wanted = bruteForce(rows, query, 10).map((hit) => ({ ...hit, name: names[hit.index] }));
    for (const inFileFrom of [0, Number.POSITIVE_INFINITY]) {
      using index = await VectorIndex.load(path, { inFileFrom });
      expect(index.size).toBe(count);
      expect(await index.search(query)).toEqual(wanted);
      index.add(
        query.map((value) => 2 * value),
        ["further"],
      );
      expect((await index.search(query, { most: 1 }))[0].name).toBe("further");
    }
  });
});

describe("an index in a file", () => {
  it("comes back without what was removed", async () => {
    const path = join(folder, "three.safetensors");
    const index = new VectorIndex(2);
    index.add(Float32Array.of(1, 0, 0, 1, -1, 0), ["a", "b", "c"]);
    index.remove(1);
    await index.save(path);
    const back = await VectorIndex.load(path);
    expect(await back.search(Float32Array.of(1, 0))).toEqual([
      { index: 0, score: 1, name: "a" },
      { index: 1, score: -1, name: "c" },
    ]);
    expect(await readdir(folder)).not.toContainEqual(expect.stringContaining(".tmp"));
  });

  it("is refused where it is damaged or something else, in one sentence", async () => {
    const path = join(folder, "damaged.safetensors");
    const index = new VectorIndex(4);
    index.add(noise(4 * 10));
    await index.save(path);
    await truncate(path, 100);
    await expect(VectorIndex.load(path)).rejects.toThrow(oneSentence);
    await writeFile(path, "no index");
    await expect(VectorIndex.load(path)).rejects.toThrow(oneSentence);
    await expect(VectorIndex.load(join(folder, "nowhere"))).rejects.toThrow(oneSentence);
  });
});

it("the best of a list are those that sorting puts first", () => {
  const scores = fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 40 });
  fc.assert(
    fc.property(scores, fc.integer({ min: 0, max: 45 }), (scores, most) => {
      const top = new Top(most);
      for (const [index, score] of scores.entries()) top.add(index, score);
      const sorted = scores.map((score, index) => ({ index, score }));
      sorted.sort((a, b) => b.score - a.score || a.index - b.index);
      expect(top.sorted()).toEqual(sorted.slice(0, most));
    }),
  );
});
