import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SiglipError } from "../../src/support/error.ts";
import { SentencePiece } from "../../src/tokenizer/sentencepiece.ts";
import { canonicalOf, type Dialect, SiglipTokenizer } from "../../src/tokenizer/siglip.ts";
import { readModel, writeModel } from "./tokenizer-model.ts";

const t5 = SentencePiece.parse(readModel("t5-like"));
const gemma = SentencePiece.parse(readModel("gemma-like"));
const DIALECTS: Dialect[] = ["hf", "big_vision", "open_clip"];
const GENERATIONS = ["unigram", "bpe"] as const;

const pairs = GENERATIONS.flatMap((algorithm) => DIALECTS.map((dialect) => ({ algorithm, dialect })));
const forms = new Map(
  await Promise.all(
    pairs.map(
      async (one) => [`${one.dialect} ${one.algorithm}`, await canonicalOf(one.dialect, one.algorithm)] as const,
    ),
  ),
);
const canonical = (text: string, dialect: Dialect, algorithm: (typeof GENERATIONS)[number] = "unigram") =>
  forms.get(`${dialect} ${algorithm}`)!(text);

describe("the canonical form", () => {
  it("lower-cases as Python does", () => {
    for (const { dialect, algorithm } of pairs) {
      expect(canonical("İ", dialect, algorithm)).toBe("i̇");
      expect(canonical("ΑΣ ΟΔΥΣΣΕΥΣ Σ", dialect, algorithm)).toBe("ας οδυσσευς σ");
      expect(canonical("ẞ ǅ K \u{10400}", dialect, algorithm)).toBe("ß ǆ k \u{10428}");
    }
  });

  it("deletes the 32 characters of string.punctuation and no others", () => {
    expect(canonical("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "hf")).toBe("");
    expect(canonical("snake_case it's “x” ¡hola! 50%—a·b", "hf")).toBe("snakecase its “x” ¡hola 50—a·b");
    expect(canonical(" A_b, C!\t", "hf")).toBe("ab c");
    expect(canonical(" A_b, C!\t", "hf", "bpe")).toBe(" a_b, c!\t");
    for (const algorithm of GENERATIONS) {
      expect(canonical(" A_b, C!\t", "big_vision", algorithm)).toBe(" a_b, c!\t");
      expect(canonical(" A_b, C!\t", "open_clip", algorithm)).toBe("a b c");
    }
  });

  it("collapses Python's white space", () => {
    const spaces = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000";
    for (const dialect of ["hf", "open_clip"] as const) {
      expect(canonical(`${spaces}a${spaces}b${spaces}`, dialect)).toBe("a b");
      for (const space of spaces) expect(canonical(`a${space}b`, dialect)).toBe("a b");
      for (const other of "\ufeff\u200b\u180e\0") expect(canonical(`a${other}b`, dialect)).toBe(`a${other}b`);
    }
  });

  it("prepares texts as open_clip does", () => {
    expect(canonical("great_white shark's", "open_clip")).toBe("great white sharks");
    expect(canonical("a&amp;amp;nbsp;b", "open_clip")).toBe("anbspb");
    expect(canonical("caf&eacute; caf&eacute &#233;&#xE9; &notit; &hellip;", "open_clip")).toBe("café café éé ¬it …");
    expect(canonical("a&nbsp;&#9;b&#0;&#128;&#xD800;&#x110000;&#1;&bogus;", "open_clip")).toBe(
      "a b\ufffd€\ufffd\ufffdbogus",
    );
    // Deleted before lower-casing, as there: the sigma is then not final.
    expect(canonical("ΑΣ-Α", "open_clip")).toBe("ασα");
    expect(canonical("ΑΣ-Α", "hf")).toBe("αςα");
  });

  it("reads HTML's references as Python's html.unescape does", async () => {
    const { unescapeHtml } = await import("../../src/tokenizer/html.ts");
    // What CPython gives.
    for (const [text, read] of [
      ["&CounterClockwiseContourIntegral;&fjlig;&NotEqualTilde;&apos;", "∳fj≂̸'"],
      ["&ampamp;&AMP&lt&Lt;&notin;&notin&notit;", "&amp;&<≪∉¬in¬it;"],
      ["&copyright;&COPY=&frac123;&sup1&hearts&", "©right;©=½3;¹&hearts&"],
      ["&#65&#x41;&#X41z&#;&#x;&;& amp;&\tlt;", "AAAz&#;&#x;&;& amp;&\tlt;"],
      ["&#9;&#11;&#127;&#xfdd0;&#xffff;&#x1fffe;&#x80;&#159;&#129;", "\t€Ÿ\x81"],
      ["&#0;&#xd800;&#1114112;&#x10ffff;", "\ufffd\ufffd\ufffd"],
      ["&é;&Aacute&aacute;x", "&é;Ááx"],
    ]) {
      expect(unescapeHtml(text), text).toBe(read);
    }
  });

  it("refuses other dialects", async () => {
    for (const dialect of ["clip", "constructor", "siglip", undefined, null, {}]) {
      await expect(canonicalOf(dialect as Dialect, "bpe")).rejects.toThrow(
        expect.objectContaining({
          message: expect.stringMatching(/^dialect: wanted "hf", .*, found .*; choose one\.$/),
        }),
      );
    }
  });
});

describe("SiglipTokenizer", () => {
  it("chooses dialect and pad by the model", async () => {
    const one = await SiglipTokenizer.make(t5, { length: 8 });
    expect([...one.encode(["A Cat!"])]).toEqual([...t5.encode("a cat"), ...Array(8).fill(1)].slice(0, 8));
    const two = await SiglipTokenizer.make(gemma, { length: 12 });
    const ids = gemma.encode("a cat!");
    expect([...two.encode(["A Cat!"])]).toEqual([...ids, 1, ...Array(11 - ids.length).fill(0)]);
    const plain = await SiglipTokenizer.make(t5, { length: 8, dialect: "big_vision" });
    expect([...plain.encode(["A Cat!"])]).toEqual([...t5.encode("a cat!"), ...Array(8).fill(1)].slice(0, 8));
  });

  it("never takes a special token written in a text for one", async () => {
    for (const model of [t5, gemma])
      for (const dialect of DIALECTS) {
        const tokenizer = await SiglipTokenizer.make(model, { length: 64, dialect });
        for (const text of ["</s>", "a </s> b", "<pad><unk>", "<eos>"]) {
          const ids = model.encode(canonical(text, dialect, model.algorithm));
          for (const special of ["</s>", "<pad>", "<unk>"]) expect(ids).not.toContain(model.idOf(special));
          expect([...tokenizer.encode([text])].slice(0, ids.length + 1)).toEqual([...ids, 1]);
        }
      }
  });

  it("gives rows of the exact length: ids, eos, padding on the right; truncation keeps the eos", async () => {
    const units = fc.array(fc.integer({ min: 0, max: 0xffff })).map((codes) => String.fromCharCode(...codes));
    const texts = fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.string(), units), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        texts,
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(...DIALECTS),
        async (list, length, dialect) => {
          for (const [model, pad] of [
            [t5, 1],
            [gemma, 0],
          ] as const) {
            const rows = (await SiglipTokenizer.make(model, { length, dialect })).encode(list);
            expect(rows.length).toBe(list.length * length);
            list.forEach((text, i) => {
              const ids = model.encode(canonical(text, dialect, model.algorithm)).slice(0, length - 1);
              for (const id of ids) expect(id >= 0 && id < model.size).toBe(true);
              const row = [...ids, 1, ...Array(length).fill(pad)].slice(0, length);
              expect([...rows.subarray(i * length, (i + 1) * length)]).toEqual(row);
            });
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it("takes an empty list, an empty string, 10 MB", async () => {
    const tokenizer = await SiglipTokenizer.make(t5, { length: 4 });
    expect(tokenizer.encode([])).toEqual(new Int32Array(0));
    expect([...tokenizer.encode([""])]).toEqual([1, 1, 1, 1]);
    const long = "the cat ".repeat(1_250_000);
    expect([...tokenizer.encode([long])]).toEqual([...t5.encode("the cat the", 3), 1]);
    expect([...(await SiglipTokenizer.make(gemma, { length: 4 })).encode([long])]).toEqual([
      ...gemma.encode("the cat the", 3),
      1,
    ]);
  });

  it("refuses what is no text by its index, and other wrong arguments", async () => {
    const tokenizer = await SiglipTokenizer.make(t5, { length: 64 });
    expect(() => tokenizer.encode(["a", 5 as unknown as string])).toThrow(/^text 1: wanted a string, found number/);
    expect(() => tokenizer.encode(["a", null as unknown as string])).toThrow(/^text 1: .* null/);
    // biome-ignore lint/suspicious/noSparseArray: that is the case.
    expect(() => tokenizer.encode(["a", , "b"] as string[])).toThrow(/^text 1: .* undefined/);
    expect(() => tokenizer.encode(["a".repeat(2 ** 25 + 1)])).toThrow(/^text 0: .* 33554433/);
    expect(() => tokenizer.encode("a" as unknown as string[])).toThrow(SiglipError);
    expect(() => tokenizer.encode(Array(2 ** 23).fill(""))).toThrow(SiglipError);
    for (const length of [0, -1, 1.5, Number.NaN, 2 ** 40, "64" as unknown as number])
      await expect(SiglipTokenizer.make(t5, { length })).rejects.toThrow(SiglipError);
    await expect(SiglipTokenizer.make(t5, { length: 64, dialect: "clip" as Dialect })).rejects.toThrow(SiglipError);
    const other = writeModel({ pieces: [["<unk>", 0, 2], ["<s>", 0, 3], ["</s>", 0, 3], ["a", 0, 1]] }); // biome-ignore format: a table
    await expect(SiglipTokenizer.make(SentencePiece.parse(other), { length: 64 })).rejects.toThrow(/id 1/);
  });
});
