import { describe, expect, it } from "vitest";
import { parseModel } from "../../src/tokenizer/model.ts";
import { SentencePiece } from "../../src/tokenizer/sentencepiece.ts";
import { canonicalOf, SiglipTokenizer } from "../../src/tokenizer/siglip.ts";
import { ABSENT, FIXTURES, type ModelSpec, readModel, readRows, writeModel } from "./tokenizer-model.ts";

const canonical = await canonicalOf("hf", "unigram");

describe.each(FIXTURES)("$name", ({ name, folder }) => {
  it("gives SentencePiece's ids for every row, and the canonical forms", ({ skip }) => {
    if (!folder) return skip(ABSENT);
    const model = SentencePiece.parse(readModel(name, folder));
    const rows = readRows(name, folder);
    expect(rows.length).toBeGreaterThan(100);
    for (const row of rows) {
      expect(model.encode(row.text), JSON.stringify(row.text)).toEqual(row.raw_ids);
      expect(canonical(row.text)).toBe(row.canonical);
      expect(model.encode(row.canonical), JSON.stringify(row.canonical)).toEqual(row.canonical_ids);
    }
  });

  it("gives the same ids with a limit, up to it", ({ skip }) => {
    if (!folder) return skip(ABSENT);
    const model = SentencePiece.parse(readModel(name, folder));
    for (const { text, raw_ids } of readRows(name, folder))
      for (const limit of [0, 1, 2, 7, 64]) expect(model.encode(text, limit)).toEqual(raw_ids.slice(0, limit));
  });
});

interface OptionsRow extends Omit<ModelSpec, "charsmap" | "pieces"> {
  charsmap: boolean;
  pieces: [string, number, number][];
  cases: [string, number[]][];
}

// Small random models with every option (ids by SentencePiece 0.2.2): ties, user-defined and unused pieces, byte
// fallback, white space as suffix, none escaped, none removed, with and without nmt_nfkc.
describe("options", () => {
  const charsmap = parseModel(readModel("t5-like")).charsmap;
  it.each(readRows<OptionsRow>("options").map((row, i) => [i, row] as const))("model %i", (_, row) => {
    const bytes = Array.from(
      { length: row.byteFallback ? 256 : 0 },
      (_, i) => [`<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`, 0, 6] as const,
    );
    const model = SentencePiece.parse(
      writeModel({
        ...row,
        charsmap: row.charsmap ? charsmap : undefined,
        pieces: [["<unk>", 0, 2], ["</s>", 0, 3], ...bytes, ...row.pieces],
      }),
    );
    expect(model.algorithm).toBe(row.algorithm);
    for (const [text, ids] of row.cases) expect(model.encode(text), JSON.stringify(text)).toEqual(ids);
  });
});

describe("siglip-input-ids", () => {
  const model = SentencePiece.parse(readModel("t5-like"));
  it.each([16, 64])("length %i", async (length) => {
    const tokenizer = await SiglipTokenizer.make(model, { length });
    const rows = readRows<{ text: string; length: number; input_ids: number[] }>("siglip-input-ids").filter(
      (row) => row.length === length,
    );
    expect(rows.length).toBeGreaterThan(20);
    for (const row of rows) expect([...tokenizer.encode([row.text])], row.text).toEqual(row.input_ids);
    expect([...tokenizer.encode(rows.map((row) => row.text))]).toEqual(rows.flatMap((row) => row.input_ids));
  });
});

describe("SentencePiece", () => {
  const t5 = SentencePiece.parse(readModel("t5-like"));
  const gemma = SentencePiece.parse(readModel("gemma-like"));

  it("knows its pieces by name", () => {
    expect([t5.size, t5.algorithm, t5.unkId]).toEqual([4000, "unigram", 2]);
    expect([gemma.size, gemma.algorithm, gemma.unkId]).toEqual([3000, "bpe", 3]);
    expect(["<pad>", "</s>", "<unk>", "▁the"].map((piece) => t5.idOf(piece))).toEqual([0, 1, 2, 3]);
    expect(["<pad>", "</s>", "<unk>", "<mask>"].map((piece) => gemma.idOf(piece))).toEqual([0, 1, 3, 4]);
    for (const piece of ["", "constructor", "__proto__", "▁t5-like"]) expect(t5.idOf(piece)).toBeUndefined();
  });

  it("takes control, unknown and byte pieces in a text as text, single characters too", () => {
    for (const text of ["</s>", "<unk>", "<pad>", "a </s>", "</s></s>"])
      for (const model of [t5, gemma])
        for (const id of model.encode(text)) expect([model.idOf("</s>"), model.idOf("<pad>")]).not.toContain(id);
    expect(gemma.encode("<0x41>")).not.toContain(gemma.idOf("<0x41>"));
    const pieces = [["<unk>", 0, 2], ["@", 0, 3], ["a", -1, 1]] as const; // biome-ignore format: a table
    for (const algorithm of ["unigram", "bpe"] as const)
      expect(SentencePiece.parse(writeModel({ algorithm, pieces, addDummyPrefix: false })).encode("a@a")).toEqual([
        2, 0, 2,
      ]);
  });

  it("reads a lone surrogate as U+FFFD", () => {
    for (const model of [t5, gemma])
      for (const [broken, mended] of [
        ["\ud800", "\ufffd"],
        ["a\udc31b", "a\ufffdb"],
        ["\ud83d cat \ud83d\udc31", "\ufffd cat \u{1f431}"],
      ])
        expect(model.encode(broken)).toEqual(model.encode(mended));
  });

  it("takes 10 MB of text", () => {
    const n = 10_000_000;
    const phrase = "the quick brown fox ";
    const once = t5.encode(phrase);
    expect(t5.encode(phrase.repeat(n / phrase.length)).length).toBe((once.length * n) / phrase.length);
    expect(t5.encode(" ".repeat(n))).toEqual([]);
    expect(t5.encode("東".repeat(1_000_000))).toEqual([16, 2]);
    expect(gemma.encode(phrase.repeat(n / phrase.length), 100).length).toBe(100);
  });

  it("takes a long run no piece boundary divides", () => {
    expect(gemma.encode("▁".repeat(320_000)).length).toBe(20_000);
    expect(gemma.encode("ab".repeat(200_000)).length).toBe(200_000);
  });
});
