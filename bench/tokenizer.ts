/**
 * Captions a second through canonical form and SentencePiece on one core, and the time to load a model. Every fixture row's ids are
 * verified before anything is timed. `npx tsx bench/tokenizer.ts [--json]`
 */
import { cpus } from "node:os";
import { SentencePiece } from "../src/tokenizer/sentencepiece.ts";
import { canonicalOf } from "../src/tokenizer/siglip.ts";
import { ABSENT, FIXTURES, type Row, readModel, readRows, writeModel } from "../test/tokenizer/tokenizer-model.ts";

const canonical = await canonicalOf("hf", "unigram");

const SECONDS = 1;
const LOADS = 7;

const results = [];
for (const { name, folder } of FIXTURES) {
  if (!folder) {
    console.error(`${name}: skipped, ${ABSENT}`);
    continue;
  }
  const bytes = readModel(name, folder);
  const load = loadTimes(bytes);
  const model = SentencePiece.parse(bytes);
  const rows = readRows(name, folder);
  verify(name, model, rows);
  const captions = rows.map((row) => row.text).filter((text) => /^[ -~]{10,100}$/.test(text));
  results.push({
    model: name,
    algorithm: model.algorithm,
    pieces: model.size,
    captionsPerSecond: captionsPerSecond(model, captions),
    charactersPerCaption: Math.round(captions.join("").length / captions.length),
    ...load,
  });
}
results.push({ model: "of Gemma's size", algorithm: "bpe", pieces: 256_000, ...loadTimes(syntheticModel(256_000)) });

if (process.argv.includes("--json"))
  console.log(JSON.stringify({ node: process.version, cpu: cpus()[0]?.model, results }));
else console.table(results);

function verify(name: string, model: SentencePiece, rows: Row[]): void {
  for (const row of rows) {
    const got = [model.encode(row.text), canonical(row.text), model.encode(row.canonical)];
    const want = [row.raw_ids, row.canonical, row.canonical_ids];
    if (JSON.stringify(got) !== JSON.stringify(want))
      throw new Error(`${name}: wrong ids for ${JSON.stringify(row.text)}; nothing was timed.`);
  }
}

function captionsPerSecond(model: SentencePiece, captions: string[]): number {
  let rate = 0;
  for (const seconds of [SECONDS / 2, SECONDS]) {
    const start = performance.now();
    let done = 0;
    while (performance.now() - start < 1000 * seconds) {
      for (const caption of captions) model.encode(canonical(caption), 63);
      done += captions.length;
    }
    rate = (1000 * done) / (performance.now() - start);
  }
  return Math.round(rate);
}

/** Milliseconds: the first load, which is what a process pays that loads one model, and the median of several. */
function loadTimes(bytes: Uint8Array): { loadFirstMs: number; loadMedianMs: number } {
  const times = Array.from({ length: LOADS }, () => {
    const start = performance.now();
    SentencePiece.parse(bytes);
    return Math.round(10 * (performance.now() - start)) / 10;
  });
  return { loadFirstMs: times[0], loadMedianMs: times.toSorted((a, b) => a - b)[LOADS >> 1] };
}

/** A BPE model with pieces of some 8 letters, each with a score of its own. */
function syntheticModel(size: number): Uint8Array {
  const pieces: [string, number, number][] = [["<unk>", 0, 2]];
  for (let i = 1, seed = 1; i < size; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    pieces.push([`${seed.toString(36).slice(-1 - (seed % 7))}_${i.toString(36)}`, -i, 1]);
  }
  return writeModel({ algorithm: "bpe", pieces });
}
