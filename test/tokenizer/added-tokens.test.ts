import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type AddedToken, AddedTokens, readAddedTokens } from "../../src/tokenizer/added-tokens.ts";
import { SentencePiece } from "../../src/tokenizer/sentencepiece.ts";
import { canonicalOf, SiglipTokenizer } from "../../src/tokenizer/siglip.ts";
import { readTokenizerJson } from "../../src/tokenizer/tokenizer-json.ts";
import { addedToken, jsonOf } from "./tokenizer-json.ts";
import { readModel } from "./tokenizer-model.ts";

const t5 = SentencePiece.parse(readModel("t5-like"));
const gemma = SentencePiece.parse(readModel("gemma-like"));

const tokens: readonly AddedToken[] = readAddedTokens("tokens", {
  4000: { content: "<obj>" },
  4001: { content: "<objects>" },
  4002: { content: "Zorg", single_word: true },
  4003: { content: "<Raw>", normalized: false },
  4004: { content: "<l>", lstrip: true, rstrip: true },
  4005: { content: "<spec>", special: true },
});

describe("added tokens", () => {
  const encode = async (model: SentencePiece, text: string, prefixed = false, limit = 100) =>
    new AddedTokens(tokens, prefixed).encode(text, limit, model, await canonicalOf("hf", model.algorithm));
  const rest = (text: string) => t5.encode(text, 100, false);

  it("give their ids, the longest first; what is between is text of its own", async () => {
    expect(await encode(t5, "a <obj> cat")).toEqual([...t5.encode("a"), 4000, ...rest("cat")]);
    expect(await encode(t5, "<objects><obj>")).toEqual([4001, 4000]);
    expect(await encode(t5, "a <spec> cat!")).toEqual([...t5.encode("a"), 4005, ...rest("cat")]);
    expect(await encode(t5, "no token: <object>")).toEqual(t5.encode("no token object"));
    expect(await encode(t5, "")).toEqual([]);
  });

  it("have the model's prefix after them only where that stands before every word", async () => {
    expect(await encode(t5, "a <obj> cat", true)).toEqual([...t5.encode("a"), 4000, ...t5.encode("cat")]);
    expect(t5.encode("cat")).not.toEqual(rest("cat"));
    // Gemma's has none, and its spaces stay.
    const spaces = [...gemma.encode("a "), 4000, ...gemma.encode(" cat")];
    for (const prefixed of [false, true]) expect(await encode(gemma, "a <obj> cat", prefixed)).toEqual(spaces);
  });

  it("are found in any case where they are normalized, else as they are written", async () => {
    expect(await encode(t5, "<OBJ>")).toEqual([4000]);
    expect(await encode(t5, "<Raw>")).toEqual([4003]);
    expect(await encode(t5, "<raw>")).toEqual(t5.encode("raw"));
    expect(await encode(t5, "<SPEC>")).toEqual(t5.encode("spec"));
  });

  it("count as single words and swallow white space where they say so", async () => {
    expect(await encode(t5, "zorg")).toEqual([4002]);
    expect(await encode(t5, "(zorg)")).toEqual([4002]);
    for (const text of ["zorgs", "xzorg", "zorg_", "ézorg", "zorg7", "\u{10400}zorg"]) {
      expect(await encode(t5, text)).not.toContain(4002);
    }
    expect(await encode(gemma, "a  <l> \n b")).toEqual([...gemma.encode("a"), 4004, ...gemma.encode("b")]);
    expect(await encode(gemma, "<l> <l>")).toEqual([4004, 4004]);
  });

  it("stop at a limit", async () => {
    const all = await encode(t5, "a <obj> cat <obj> and <obj>");
    for (let limit = 0; limit < all.length; limit++) {
      expect(await encode(t5, "a <obj> cat <obj> and <obj>", false, limit)).toEqual(all.slice(0, limit));
    }
  });

  it("end and are padded like other texts, and take 1 MB", async () => {
    const tokenizer = await SiglipTokenizer.make(t5, { length: 4, added: new AddedTokens(tokens, false) });
    expect([...tokenizer.encode(["<obj>"])]).toEqual([4000, 1, 1, 1]);
    expect([...tokenizer.encode(["<obj>".repeat(9)])]).toEqual([4000, 4000, 4000, 1]);
    expect([...tokenizer.encode(["</s>"])].slice(1)).not.toEqual([1, 1, 1]);
    expect([...tokenizer.encode(["<obj".repeat(250_000)])]).toHaveLength(4);
  });

  it("come from tokenizer.json, those in the vocabulary as symbols or control pieces of the model", () => {
    const json = jsonOf(readModel("t5-like"));
    json.added_tokens.push(addedToken(4000, "<obj>"), addedToken(4001, "<special>", { special: true }));
    const { model, added, prefixed } = readTokenizerJson(json);
    expect([model.pieces.length, prefixed]).toEqual([4000, true]);
    expect(added.map(({ id, content, normalized }) => [id, content, normalized])).toEqual([
      [4000, "<obj>", true],
      [4001, "<special>", true],
    ]);
  });
});

// What transformers 5.18 gives for tokens added to the demo's tokenizer.
describe("Hugging Face's ids", () => {
  const spiece = new Uint8Array(readFileSync(new URL("../../weights/demo/spiece.model", import.meta.url)));
  const added = readAddedTokens("tokens", {
    1400: { content: "<obj>" },
    1402: { content: "<l>", lstrip: true, rstrip: true },
    1403: { content: "<spec>", special: true },
  });

  it.each<[string, number[]]>([
    ["a <obj> cat", [3, 1400, 1396, 179]],
    ["a <obj>cat", [3, 1400, 1396, 179]],
    ["a<obj> cat!", [3, 1400, 1396, 179]],
    ["<obj>", [1400]],
    ["a <l> cat", [3, 1402, 1396, 179]],
    ["a <spec> cat", [3, 1403, 1396, 179]],
    ["<obj><obj> a photo", [1400, 1400, 39, 6]],
    ["a photo of a cat", [3, 6, 4, 3, 904]],
  ])("of %j from spiece.model", async (text, ids) => {
    const tokenizer = await SiglipTokenizer.make(SentencePiece.parse(spiece), {
      length: 16,
      added: new AddedTokens(added, false),
    });
    expect([...tokenizer.encode([text])]).toEqual(Array.from({ length: 16 }, (_, i) => ids[i] ?? 1));
  });

  it("from tokenizer.json", async () => {
    const json = jsonOf(spiece);
    json.added_tokens.push(addedToken(1403, "<spec>", { special: true, normalized: false }));
    const { model, added, prefixed } = readTokenizerJson(json);
    const tokens = new AddedTokens(added, prefixed);
    const canonical = await canonicalOf("hf", "unigram");
    expect(tokens.encode("a <spec> cat", 16, new SentencePiece(model), canonical)).toEqual([3, 1403, 904]);
  });
});

describe("readAddedTokens", () => {
  it("takes all forms", () => {
    const plain = { special: false, normalized: true, lstrip: false, rstrip: false, singleWord: false };
    const wanted = [{ id: 7, content: "<x>", ...plain }];
    expect(readAddedTokens("f", { "<x>": 7 })).toEqual(wanted);
    expect(readAddedTokens("f", { 7: { content: "<x>" } })).toEqual(wanted);
    expect(readAddedTokens("f", [{ id: 7, content: "<x>" }])).toEqual(wanted);
    expect(readAddedTokens("f", JSON.parse('{"__proto__": 7}'))).toEqual([{ ...wanted[0], content: "__proto__" }]);
    expect(readAddedTokens("f", {})).toEqual([]);
  });

  it.each<[unknown, RegExp]>([
    [7, /^f: wanted added tokens, found none of their forms; fetch it again\.$/],
    [{ "<x>": -1 }, /ids of added tokens from 0 to 1048575/],
    [{ "<x>": 2 ** 31 }, /ids of added tokens/],
    [{ x: { content: "<x>" } }, /ids of added tokens/],
    [{ "": { content: "<x>" } }, /ids of added tokens/],
    [{ "0x10": { content: "<x>" } }, /ids of added tokens/],
    [{ 7: {} }, /1 to 512 bytes, found another with id 7/],
    [{ 7: null }, /1 to 512 bytes/],
    [{ 7: { content: "é".repeat(257) } }, /1 to 512 bytes/],
    [{ 7: { content: "" } }, /1 to 512 bytes/],
    [{ 7: { content: "x", special: "yes" } }, /special to be true or false, found another with id 7/],
    [{ 7: { content: "x" }, 8: { content: "x" } }, /distinct contents/],
  ])("refuses %j", (value, message) => {
    expect(() => readAddedTokens("f", value)).toThrow(
      expect.objectContaining({ name: "SiglipError", code: "bad-checkpoint", message: expect.stringMatching(message) }),
    );
  });
});
