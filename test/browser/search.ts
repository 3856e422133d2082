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

declare global {
  var inSearch: { timeSearch: typeof timeSearch };
}
globalThis.inSearch = { timeSearch };
