/**
 * Captions a second through canonical form and SentencePiece on one core, and the time to load a model, from a `.model`
 * file and from a tokenizer.json. Every fixture row's ids are verified before anything is timed.
 * `npx tsx bench/tokenizer.ts [--json]`
 */
import { cpus } from "node:os";
import { parseJson } from "../src/model/config.ts";
import { SentencePiece } from "../src/tokenizer/sentencepiece.ts";
import { canonicalOf } from "../src/tokenizer/siglip.ts";
import { readTokenizerJson } from "../src/tokenizer/tokenizer-json.ts";
import { mergesOf } from "../test/tokenizer/tokenizer-json.ts";
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
  const load = loadTimes(() => SentencePiece.parse(bytes));
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
const ofGemma = { algorithm: "bpe", pieces: 256_000 } as const;
const model = syntheticModel(ofGemma.pieces);
results.push({ model: "of Gemma's size", ...ofGemma, ...loadTimes(() => SentencePiece.parse(model)) });
const json = syntheticJson(ofGemma.pieces);
results.push({
  model: `of Gemma's size, tokenizer.json of ${Math.round(json.length / 1e6)} MB`,
  ...ofGemma,
  ...loadTimes(() => new SentencePiece(readTokenizerJson(parseJson(json, "tokenizer.json", json.length)).model)),
});

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
function loadTimes(load: () => unknown): { loadFirstMs: number; loadMedianMs: number } {
  const times = Array.from({ length: LOADS }, () => {
    const start = performance.now();
    load();
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

/**
 * The tokenizer.json of a BPE of many words, of which every part that is a piece merges, as transformers writes it:
 * indented, its merges as pairs.
 */
function syntheticJson(size: number): Uint8Array {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const letters = [..."▁etaoinshrdlcumwfgypbvkjxqzéüаеиост東京中国語"];
  const texts = new Set(["<pad>", "<eos>", "<bos>", "<unk>", ...bytes, ...letters]);
  let seed = 1;
  const below = (n: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const words = [...letters];
  while (texts.size < size) {
    const often = () => words[below(below(below(below(below(words.length)))))];
    const word = often() + often();
    if (word.length > 14 || texts.has(word)) continue;
    texts.add(word);
    words.push(word);
  }
  const vocab = Object.fromEntries([...texts].map((text, id) => [text, id]));
  const json = {
    added_tokens: [],
    normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
    pre_tokenizer: null,
    model: {
      type: "BPE",
      unk_token: "<unk>",
      byte_fallback: true,
      vocab,
      merges: mergesOf([...texts], (text) => -vocab[text]),
    },
  };
  return new TextEncoder().encode(JSON.stringify(json, undefined, 2));
}
