// Runs in a page: the index among as many embeddings as a large folder has.
import { VectorIndex } from "../../src/index.ts";

/** Milliseconds of the median of ten searches, and whether each finds what was sought, among `count` embeddings. */
export async function timeSearch(count: number, width: number): Promise<{ median: number; found: boolean }> {
  const made = new VectorIndex(width);
  const rows = Float32Array.from({ length: count * width }, () => Math.random() - 0.5);
  made.add(rows);
  using index = await VectorIndex.load(await made.save());
  const sought = Math.floor(count / 2);
  const query = rows.slice(sought * width, (sought + 1) * width);
  const times: number[] = [];
  let found = index.size === count;
  for (let i = 0; i < 10; i++) {
    const start = performance.now();
    const hits = await index.search(query);
    times.push(performance.now() - start);
    found &&= hits.length === 10 && hits[0].index === sought;
  }
  return { median: times.sort((a, b) => a - b)[5], found };
}

/** Numbers that look random and are the same everywhere, from -1 to 1. */
function noise(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    const mixed = Math.imul(i ^ (i >>> 7), 0x9e3779b1);
    return (Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >> 8) / 2 ** 23;
  });
}

/** What an index of so many embeddings gives that is added to, taken from, saved and loaded, and of damaged files. */
export async function useIndex(count: number, width: number) {
  const rows = noise(count * width);
  const query = rows.slice(3 * width, 4 * width);
  const twin = rows.slice(5 * width, 6 * width).map((value, d) => value + 1e-3 * rows[d]);
  const made = new VectorIndex(width);
  made.add(
    rows,
    Array.from({ length: count }, (_, row) => `${row}.jpg`),
  );
  made.remove(3);
  const searching = made.search(query, { most: 3 });
  const saving = made.save();
  made.remove(4);
  made.add(twin, ["twin.jpg"]);
  const saved = await saving;
  const index = await VectorIndex.load(saved);
  const inFile = await VectorIndex.load(saved, { inFileFrom: 0 });
  const pairs: [number, number][] = [];
  for await (const { first, second } of made.pairs({ above: 0.9 * square(twin) })) pairs.push([first, second]);
  const failures: string[] = [];
  const bytes = new Uint8Array(await saved.arrayBuffer());
  for (const damaged of [bytes.slice(0, 100), bytes.slice(0, -4), bytes.map((byte, at) => (at < 8 ? 255 : byte))]) {
    await VectorIndex.load(new Blob([damaged])).catch((error) => failures.push(`${error}`));
  }
  const result = {
    sizes: [made.size, index.size, inFile.size],
    found: [await searching, await index.search(query, { most: 3 }), await inFile.search(query, { most: 3 })],
    pairs,
    failures,
  };
  for (const one of [made, index, inFile]) one.dispose(); // WebKit has no `using`
  return result;
}

const square = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);

declare global {
  var inSearch: { timeSearch: typeof timeSearch; useIndex: typeof useIndex };
}
globalThis.inSearch = { timeSearch, useIndex };
