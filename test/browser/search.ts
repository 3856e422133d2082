// Runs in a page: the search index among as many embeddings as a large folder has.
import { SearchIndex } from "../../src/search.ts";

/** Milliseconds of the fastest and the slowest of ten searches, and whether the first finds what was sought. */
export function timeSearch(count: number, width: number): { least: number; most: number; found: boolean } {
  const index = new SearchIndex(width);
  const rows = Float32Array.from({ length: count * width }, () => Math.random() - 0.5);
  index.add(rows);
  const sought = Math.floor(count / 2);
  const query = rows.slice(sought * width, (sought + 1) * width);
  const times: number[] = [];
  let found = true;
  for (let i = 0; i < 10; i++) {
    const start = performance.now();
    const hits = index.search(query);
    times.push(performance.now() - start);
    found &&= hits.length === count && hits[0].index === sought;
  }
  return { least: Math.min(...times), most: Math.max(...times), found };
}

declare global {
  var inSearch: { timeSearch: typeof timeSearch };
}
globalThis.inSearch = { timeSearch };
