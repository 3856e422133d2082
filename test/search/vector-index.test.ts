import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { nodePlatform } from "../../src/node/platform.ts";
import { VectorIndex } from "../../src/node/vector-index.ts";
import { Scan } from "../../src/search/scan.ts";
import { Top } from "../../src/search/top.ts";
import { mismatch } from "../../src/support/error.ts";

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

/** The scan that an index keeps to itself. */
const finder = (index: VectorIndex): object => Reflect.get(index, "finder");
const scanning = (index: VectorIndex): Promise<{ scan: Scan } | undefined> => Reflect.get(finder(index), "scanning");

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

  it("searches for what it was given, among what there was, whatever becomes of both meanwhile", async () => {
    const index = new VectorIndex(2);
    index.add(Float32Array.of(1, 0, 0, 1));
    const query = Float32Array.of(1, 0);
    const found = index.search(query, { most: 1 });
    query.reverse();
    expect((await found)[0].index).toBe(0);
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

  /** Each row is given by some of its values; ten rows of the first kind come before one that is nearer, then zeros. */
  const among = (usual: Record<number, number>, nearest: Record<number, number>) => {
    const all = new Float32Array(width * count);
    for (let row = 0; row < 10; row++) for (const d in usual) all[row * width + Number(d)] = usual[d];
    for (const d in nearest) all[10 * width + Number(d)] = nearest[d];
    return all;
  };

  it("misses none where scales of half precision, or sums in float32, end before the values do", async () => {
    const heads = new Float32Array(width).map((_, d) => (d % 32 === 0 ? 1 : 0));
    const wide = Object.fromEntries(Array.from({ length: width / 32 }, (_, group) => [32 * group, 8e6]));
    const seconds = new Float32Array(width).map((_, d) => (d === 1 || d === 33 ? 2.5e38 : 0));
    for (const [rows, query] of [
      // 1e9 becomes 127 times 65504, the greatest of half precision.
      [among(wide, { 0: 1e9 }), heads],
      // 0.6 is rounded to 1: twice 2.5e38, which float32 does not have.
      [among({ 0: 127, 1: 0.6, 32: 127, 33: 0.6 }, { 0: 127, 1: 1.3 }), seconds],
    ]) {
      using index = new VectorIndex(width);
      index.add(rows);
      expect((await index.search(query)).map(({ index }) => index)).toEqual([10, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
  });

  it("gives way, and hears an abort, where all are as near as each other", async () => {
    const index = new VectorIndex(width);
    index.add(rows);
    const scores = { scores: new Float32Array(4096), bound: () => 0, worst: 0 };
    const scan = { lost: false, size: 4, scores: async () => [scores, scores, scores, scores] };
    Reflect.set(finder(index), "scanning", Promise.resolve({ scan: scan as unknown as Scan, close() {} }));
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    await index.search(query);
    expect(turned).toBe(true);
    const abort = new AbortController();
    setImmediate(() => abort.abort(new Error("enough")));
    await expect(index.search(query, { signal: abort.signal })).rejects.toThrow("enough");
  });

  it("compares what there is no room for in float64", async () => {
    const { add } = Scan.prototype;
    const full = vi.spyOn(Scan.prototype, "add").mockImplementation(async function (this: Scan, values) {
      if (this.size === 3) throw mismatch("out-of-memory", "memory", "room", "none", "use less");
      return add.call(this, values);
    });
    try {
      using index = new VectorIndex(width);
      index.add(rows);
      const best = bruteForce(rows, query, 10);
      expect(await index.search(query)).toEqual(best);
      expect((await scanning(index))?.scan.size).toBe(2);
      expect(await index.search(query)).toEqual(best);
      expect(full).toHaveBeenCalledTimes(4 + 2);
    } finally {
      full.mockRestore();
    }
  });

  it("opens its threads again after it could not", async () => {
    let failing = true;
    class Failing extends VectorIndex {
      protected override readonly runtime = {
        ...nodePlatform,
        threads() {
          if (failing) throw new Error("too many open files");
          return nodePlatform.threads();
        },
      };
    }
    using index = new Failing(width);
    index.add(rows);
    await expect(index.search(query)).rejects.toThrow("too many open files");
    failing = false;
    expect(await index.search(query)).toEqual(bruteForce(rows, query, 10));
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
      // A thread that dies takes the integers with it, not the file.
      Object.defineProperty((await scanning(index))?.scan, "lost", { value: true });
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

  it("is saved as it was asked, over the file that it lies in, while others search that", async () => {
    const path = join(folder, "over.safetensors");
    const made = new VectorIndex(2);
    made.add(Float32Array.of(1, 0, 0, 1, -1, 0), ["a", "b", "b"]);
    await made.save(path);
    using one = await VectorIndex.load(path, { inFileFrom: 0 });
    using other = await VectorIndex.load(path, { inFileFrom: 0 });
    one.remove(0);
    const saving = one.save(path);
    one.remove(1);
    one.add(Float32Array.of(0, 1), ["b"]);
    await saving;
    const names = async (index: VectorIndex) => (await index.search(Float32Array.of(1, 2))).map(({ name }) => name);
    expect(await names(other)).toEqual(["b", "a", "b"]);
    expect(await names(one)).toEqual(["b", "b"]);
    expect(await one.search(Float32Array.of(0, 1), { most: 1 })).toEqual([{ index: 3, score: 1, name: "b" }]);
    expect(await names(await VectorIndex.load(path))).toEqual(["b", "b"]);
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
    fc.property(scores, fc.integer({ min: 0, max: 12 }), (scores, most) => {
      const top = new Top(most);
      for (const [index, score] of scores.entries()) top.add(index, score);
      const sorted = scores.map((score, index) => ({ index, score }));
      sorted.sort((a, b) => b.score - a.score || a.index - b.index);
      expect(top.sorted()).toEqual(sorted.slice(0, most));
    }),
    { seed: 1, numRuns: 300 },
  );
});
