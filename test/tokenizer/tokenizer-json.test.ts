import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { SentencePiece } from "../../src/tokenizer/sentencepiece.ts";
import { SiglipTokenizer } from "../../src/tokenizer/siglip.ts";
import { readTokenizerJson } from "../../src/tokenizer/tokenizer-json.ts";
import { addedToken, jsonOf, type TokenizerJson } from "./tokenizer-json.ts";
import { ABSENT, FIXTURES, type Row, readModel, readRows, writeModel } from "./tokenizer-model.ts";

const read = (json: TokenizerJson) => new SentencePiece(readTokenizerJson(JSON.parse(JSON.stringify(json))).model);
const gemma = readModel("gemma-like");

describe.each(FIXTURES)("$name", ({ name, folder }) => {
  it("gives the ids of its .model file for every row", ({ skip }) => {
    if (!folder) return skip(ABSENT);
    const bytes = readModel(name, folder);
    const model = SentencePiece.parse(bytes);
    for (const asStrings of model.algorithm === "bpe" ? [false, true] : [false]) {
      const json = read(jsonOf(bytes, { asStrings }));
      expect([json.size, json.algorithm, json.unkId]).toEqual([model.size, model.algorithm, model.unkId]);
      for (const row of readRows<Row>(name, folder)) {
        expect(json.encode(row.text), JSON.stringify(row.text)).toEqual(row.raw_ids);
        expect(json.encode(row.canonical), JSON.stringify(row.canonical)).toEqual(row.canonical_ids);
      }
    }
  });
});

// Written by Hugging Face's tokenizers, with SigLIP's canonical form as its normaliser.
const demo = join(process.env.SIGLIP_DEMO ?? fileURLToPath(new URL("../../../shared", import.meta.url)), "demo-model");
it("gives the ids of the .model file for the demo model's own pair", ({ skip }) => {
  if (!existsSync(join(demo, "tokenizer.json"))) return skip("the folder of the demo model is absent");
  const json = read(JSON.parse(readFileSync(join(demo, "tokenizer.json"), "utf8")));
  const model = SentencePiece.parse(new Uint8Array(readFileSync(join(demo, "spiece.model"))));
  const rows = FIXTURES.flatMap(({ name, folder }) => (folder ? readRows<Row>(name, folder) : []));
  for (const { text, canonical } of rows) {
    expect(json.encode(text), JSON.stringify(text)).toEqual(model.encode(text));
    expect(json.encode(canonical)).toEqual(model.encode(canonical));
  }
});

describe("what tokenizer.json says in its own way", () => {
  it("a tab in the place of its byte", () => {
    const json = jsonOf(gemma);
    const tab = json.model.vocab["<0x09>"];
    delete json.model.vocab["<0x09>"];
    json.model.vocab["\t"] = tab;
    expect(read(json).encode("a\tb\t\t")).toEqual(SentencePiece.parse(gemma).encode("a\tb\t\t"));
  });

  it("symbols of Gemma's that are called special", () => {
    const json = jsonOf(gemma);
    for (const token of json.added_tokens) token.special ||= /^<(mask|start_of_turn)>$/.test(token.content);
    const text = "a <mask> <start_of_turn>b</s><pad>";
    expect(read(json).encode(text)).toEqual(SentencePiece.parse(gemma).encode(text));
  });

  it("pieces with the names of prototypes", () => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    const letters = [...new Set(names.join(""))].map((text, i) => [text, -100 - i, 1] as const);
    const pieces = names.flatMap((name, n) =>
      Array.from({ length: name.length - 1 }, (_, i) => [name.slice(0, i + 2), -50 * n - i, 1] as const),
    );
    const model = writeModel({
      algorithm: "bpe",
      addDummyPrefix: false,
      removeExtraWhitespaces: false,
      pieces: [["<unk>", 0, 2], ["</s>", 0, 3], ...letters, ...pieces],
    });
    const json = JSON.stringify(jsonOf(model)).replace('"constructor":', '"__proto__":1e3,"constructor":');
    expect(() => read(JSON.parse(json))).toThrow(/distinct ids/);
    const sound = read(jsonOf(model));
    const texts = SentencePiece.parse(model);
    for (const name of names.slice(1)) expect(sound.encode(name)).toEqual(texts.encode(name));
    expect(sound.encode("constructor")).toEqual([sound.idOf("constructor")]);
  });

  it("white space and prefixes in the forms of older versions", () => {
    const t5 = readModel("t5-like");
    const json = jsonOf(t5);
    json.normalizer.normalizers.splice(2, 2);
    json.pre_tokenizer = {
      type: "Sequence",
      pretokenizers: [{ type: "WhitespaceSplit" }, { type: "Metaspace", replacement: "▁", add_prefix_space: true }],
    };
    const text = "  two  cats on\u00a0a mat ";
    expect(read(json).encode(text)).toEqual(SentencePiece.parse(t5).encode(text));
    expect(readTokenizerJson(json).model).toMatchObject({ addDummyPrefix: true, removeExtraWhitespaces: true });
    json.pre_tokenizer.pretokenizers[1].add_prefix_space = false;
    expect(readTokenizerJson(json).model.addDummyPrefix).toBe(false);
  });

  it("its generation is what its model is: rows end and are padded as the .model's", async () => {
    for (const name of ["t5-like", "gemma-like"]) {
      const bytes = readModel(name);
      const [json, model] = await Promise.all(
        [read(jsonOf(bytes)), SentencePiece.parse(bytes)].map((one) => SiglipTokenizer.make(one, { length: 16 })),
      );
      const texts = ["A photo of TWO cats, 'here'!", "", "</s>"];
      expect(json.encode(texts)).toEqual(model.encode(texts));
      expect(json.encode([""])).toEqual(
        Int32Array.from({ length: 16 }, (_, i) => (i === 0 || name[0] === "t" ? 1 : 0)),
      );
    }
  });
});

describe("what is refused by name", () => {
  const refused = (change: (json: TokenizerJson) => unknown, code: string, message: RegExp, bytes = gemma) => {
    const json = jsonOf(bytes);
    change(json);
    expect(() => read(json)).toThrow(
      expect.objectContaining({ name: "SiglipError", code, message: expect.stringMatching(message) }),
    );
  };

  it.each<[string, (json: TokenizerJson) => unknown, RegExp]>([
    ["WordPiece", (json) => (json.model.type = "WordPiece"), /BPE model, found type "WordPiece"; take SigLIP's own\.$/],
    [
      "a normaliser",
      (json) => json.normalizer.normalizers.push({ type: "NFD" }),
      /normalizer .*, found \{"type":"NFD"\}/,
    ],
    [
      "a replacement",
      (json) => json.normalizer.normalizers.push({ type: "Replace", pattern: { Regex: "[abc]" }, content: "" }),
      /normalizer .*"\[abc\]"/,
    ],
    ["a pre-tokeniser", (json) => (json.pre_tokenizer = { type: "ByteLevel" }), /pre_tokenizer .*"ByteLevel"/],
    [
      "words cut before a BPE",
      (json) => (json.pre_tokenizer = { type: "Metaspace", replacement: "▁", split: true }),
      /pre_tokenizer .*"Metaspace"/,
    ],
    ["dropout", (json) => (json.model.dropout = 0.1), /a model without dropout, found 0.1/],
    ["a subword prefix", (json) => (json.model.continuing_subword_prefix = "##"), /continuing_subword_prefix/],
    ["whole words first", (json) => (json.model.ignore_merges = true), /ignore_merges/],
    ["a BPE of fewer merges", (json) => json.model.merges.pop(), /every merge that makes a piece of two/],
    ["rules twice", (json) => (json.normalizer = nested(100)), /at most 64 normalizers/],
  ])("%s", (_, change, message) => refused(change, "unsupported", message));

  it.each<[string, (json: TokenizerJson) => unknown, RegExp]>([
    ["no model", (json) => delete json.model, /wanted a model, found none/],
    ["no vocabulary", (json) => (json.model.vocab = 7), /wanted a vocabulary, found 7/],
    ["an id twice", (json) => (json.model.vocab["▁the"] = 0), /distinct ids/],
    ["an id too large", (json) => (json.model.vocab["▁the"] = 2 ** 40), /found 1099511627776 for "▁the"/],
    ["an id of another type", (json) => (json.model.vocab["▁the"] = "7"), /found "7" for "▁the"/],
    ["a gap", (json) => delete json.model.vocab["▁the"], /ids without a gap|merges of pieces/],
    ["no unknown piece", (json) => (json.model.unk_token = "<none>"), /an unknown piece/],
    ["merges of other types", (json) => (json.model.merges = { a: 1 }), /wanted merges, found none/],
    ["a merge of three", (json) => json.model.merges.push(["a", "b", "c"]), /merges of two pieces/],
    ["a merge of one", (json) => json.model.merges.push("ab"), /merges of two pieces/],
    ["a merge that makes its own half", (json) => json.model.merges.push(["", "a"]), /merges of two pieces/],
    [
      "a merge of strangers",
      (json) => json.model.merges.push(["a", "\u{10ffff}"]),
      /merges of pieces that make a piece/,
    ],
    ["an added token elsewhere", (json) => json.added_tokens.push(addedToken(9, "<other>")), /with id 9/],
    [
      "an added token twice",
      (json) => json.added_tokens.push(json.added_tokens[0]),
      /distinct contents, found one twice/,
    ],
    ["an added token of no id", (json) => json.added_tokens.push({ content: "x" }), /ids of added tokens/],
    ["added tokens of another type", (json) => (json.added_tokens = 7), /added tokens, found none of their forms/],
    ["an empty piece", (json) => (json.model.vocab[""] = 3000), /piece 3000 of 0/],
  ])("damage: %s", (_, change, message) => refused(change, "bad-checkpoint", message));

  it("damage to a unigram", () => {
    const t5 = readModel("t5-like");
    const damage = (change: (json: TokenizerJson) => unknown, message: RegExp) =>
      refused(change, "bad-checkpoint", message, t5);
    damage((json) => (json.model.vocab[7] = ["a"]), /pieces with a score, found another as piece 7/);
    // Beyond float32, which is what a .model has.
    damage((json) => (json.model.vocab[7][1] = 1e39), /pieces with a score, found another as piece 7/);
    damage((json) => (json.model.unk_id = 1e9), /an unknown piece/);
    damage((json) => (json.model.unk_id = "__proto__"), /an unknown piece/);
    damage((json) => (json.model.vocab[8][0] = json.model.vocab[7][0]), /distinct pieces/);
    damage((json) => (json.normalizer.normalizers[1].precompiled_charsmap = "%"), /base64/);
  });

  it("an unknown piece of lists in lists, however many", () => {
    const json = jsonOf(gemma);
    json.model.unk_token = JSON.parse("[".repeat(20_000) + "]".repeat(20_000));
    expect(() => readTokenizerJson(json)).toThrow(/an unknown piece/);
  });

  it("what is no object", () => {
    for (const json of [null, [], 1, "x", true]) expect(() => read(json)).toThrow(/wanted a model, found none/);
  });
});

/** A sequence of normalisers in a sequence, and so on. */
function nested(depth: number): unknown {
  let step: unknown = { type: "Lowercase" };
  for (let i = 0; i < depth; i++) step = { type: "Sequence", normalizers: [step, { type: "Lowercase" }] };
  return step;
}
