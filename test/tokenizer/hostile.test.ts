import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SiglipError } from "../../src/support/error.ts";
import { MAX_MODEL_BYTES, MAX_PIECE_BYTES, parseModel } from "../../src/tokenizer/model.ts";
import { SentencePiece } from "../../src/tokenizer/sentencepiece.ts";
import { type ModelSpec, readModel, writeModel } from "./tokenizer-model.ts";

const { charsmap } = parseModel(readModel("t5-like"));
const letters = ["a", "b", "c", "ab", "abc", "▁", "▁a", "é", "東", "ca"].map((text, i) => [text, -i / 3, 1] as const);
const bytePieces = Array.from(
  { length: 256 },
  (_, i) => [`<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`, 0, 6] as const,
);
const specials = [
  ["<unk>", 0, 2],
  ["</s>", 0, 3],
] as const;
const extras = [
  ["bc", 0, 4],
  ["  ", 0, 4],
  ["abca", -1, 5],
] as const;
const SMALL = (["unigram", "bpe"] as const).flatMap((algorithm) => [
  writeModel({ algorithm, pieces: [...specials, ...letters] }),
  writeModel({ algorithm, pieces: [...specials, ...letters, ...extras], removeExtraWhitespaces: false }),
  writeModel({ algorithm, pieces: [...specials, ...bytePieces, ...letters], byteFallback: true }),
]);
const LARGE = [readModel("t5-like"), readModel("gemma-like")];
const TEXTS = ["", " ", "abc ab  a", "東é caabcabca\n", "</s>", "\ud800\0ﬁ", "a".repeat(700), "ﷺ".repeat(50)];

/**
 * A SiglipError of one sentence, or a tokenizer whose ids all exist. Encoding may refuse a text only with a
 * SiglipError.
 */
function survives(bytes: Uint8Array): void {
  let model: SentencePiece;
  try {
    model = SentencePiece.parse(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(SiglipError);
    expect((error as Error).message).toMatch(/^tokenizer model: wanted [^\n]+, found [^\n]+; [^\n]+\.$/);
    return;
  }
  for (const text of TEXTS) {
    try {
      const ids = model.encode(text);
      if (!ids.every((id) => Number.isInteger(id) && id >= 0 && id < model.size))
        throw new Error(`ids ${ids} of ${model.size}`);
    } catch (error) {
      expect(error).toBeInstanceOf(SiglipError);
    }
  }
}

const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 });

function flipped(bytes: Uint8Array, changes: [number, number][]): Uint8Array {
  const copy = bytes.slice();
  for (const [at, value] of changes) copy[at % copy.length] = value;
  return copy;
}

describe("damaged models", () => {
  it("truncated anywhere", () => {
    for (const bytes of SMALL) for (let n = 0; n < bytes.length; n += 3) survives(bytes.subarray(0, n));
    for (const bytes of LARGE)
      for (let i = 0; i < 100; i++) survives(bytes.subarray(0, Math.floor((bytes.length * i) / 100)));
  });

  it("with bytes changed", () => {
    fc.assert(
      fc.property(fc.constantFrom(...SMALL), flips, (bytes, changes) => survives(flipped(bytes, changes))),
      { numRuns: 4000 },
    );
    fc.assert(
      fc.property(fc.constantFrom(...LARGE), flips, (bytes, changes) => survives(flipped(bytes, changes))),
      { numRuns: 150 },
    );
  });

  it("of random bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), survives), { numRuns: 2000 });
    const fields = fc.array(
      fc.tuple(fc.constantFrom(0x0a, 0x12, 0x1a, 0x18, 0x15, 0x10), fc.uint8Array({ maxLength: 20 })),
    );
    const messages = fields.map((list) => Uint8Array.from(list.flatMap(([tag, body]) => [tag, body.length, ...body])));
    fc.assert(fc.property(messages, survives), { numRuns: 2000 });
  });
});

describe("damaged normalisation rules", () => {
  const withRules = (rules: Uint8Array) => writeModel({ pieces: [...specials, ...letters], charsmap: rules });

  it("changed and random ones", () => {
    const sound = withRules(charsmap);
    // The last six bytes are flags.
    const rules = sound.subarray(-charsmap.length - 6, -6);
    expect(rules).toEqual(charsmap);
    const start = rules.byteOffset;
    fc.assert(
      fc.property(flips, (changes) =>
        survives(
          flipped(
            sound,
            changes.map(([at, value]) => [start + (at % charsmap.length), value]),
          ),
        ),
      ),
      { numRuns: 200 },
    );
    const units = fc.array(fc.oneof(fc.nat(0xffffffff), fc.nat(0x1ffff), fc.nat(0xff)), {
      minLength: 1,
      maxLength: 300,
    });
    fc.assert(
      fc.property(units, fc.uint8Array({ maxLength: 40 }), (trie, blob) => survives(withRules(rulesOf(trie, blob)))),
      { numRuns: 2000 },
    );
  });

  it("a size that does not fit, a replacement without end, a leaf outside", () => {
    for (const size of [0, 3, 5, 8, 2 ** 32 - 1]) {
      const rules = rulesOf([0], [0]);
      new DataView(rules.buffer).setUint32(0, size, true);
      expect(() => SentencePiece.parse(withRules(rules))).toThrow(SiglipError);
    }
    expect(() => SentencePiece.parse(withRules(rulesOf([0], Array(MAX_PIECE_BYTES + 1).fill(65))))).toThrow(/write/);
    expect(() => SentencePiece.parse(withRules(rulesOf([0x100, 0x80000001], [0])))).toThrow(SiglipError);
  });

  it("a trie that runs in a circle", () => {
    // The root's child "a" is the unit 0x61, whose children are found from 0 again: "aaaa…" never leaves the trie.
    const trie = new Array(256).fill(0);
    trie[0x61] = 0x61 | (0x61 << 10);
    const model = SentencePiece.parse(withRules(rulesOf(trie, [0])));
    expect(model.encode("bab")).toEqual(SentencePiece.parse(SMALL[0]).encode("bab"));
    expect(() => model.encode("a".repeat(MAX_PIECE_BYTES + 1))).toThrow(SiglipError);
  });
});

function rulesOf(trie: number[], blob: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * trie.length + blob.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 4 * trie.length, true);
  trie.forEach((unit, i) => {
    view.setUint32(4 + 4 * i, unit, true);
  });
  bytes.set(Array.from(blob), 4 + 4 * trie.length);
  return bytes;
}

describe("models that contradict themselves", () => {
  const refused = (spec: ModelSpec, message: RegExp) =>
    expect(() => SentencePiece.parse(writeModel(spec))).toThrow(
      expect.objectContaining({ name: "SiglipError", message: expect.stringMatching(message) }),
    );

  it.each<[string, ModelSpec["pieces"], RegExp]>([
    ["no pieces", [], /unknown piece/],
    ["no unknown piece", [["a", 0, 1]], /unknown piece/],
    ["no normal piece", [...specials, ["a", 0, 4]], /normal pieces/],
    ["two unknown pieces", [...specials, ["<u>", 0, 2]], /0 and 2/],
    ["an empty piece", [...specials, ["", 0, 1]], /piece 2 of 0/],
    ["an overlong piece", [...specials, ["a".repeat(MAX_PIECE_BYTES + 1), 0, 1]], /piece 2 of 513/],
    ["a piece twice", [...specials, ["a", 0, 1], ["a", -1, 1]], /piece 3 twice/],
    ["a control piece twice", [...specials, ["</s>", 0, 3]], /piece 2 twice/],
    ["a score that is no number", [...specials, ["a", Number.NaN, 1]], /NaN at piece 2/],
    ["an infinite score", [...specials, ["a", Number.NEGATIVE_INFINITY, 1]], /-Infinity at piece 2/],
    ["a type of no meaning", [...specials, ["a", 0, 7]], /7 at piece 2/],
    ["a byte piece without byte fallback", [...specials, ["<0x00>", 0, 6]], /another as piece 2/],
  ])("%s", (_, pieces, message) => refused({ pieces }, message));

  it("byte fallback without all bytes", () => {
    refused({ byteFallback: true, pieces: [...specials, ...bytePieces.slice(0, 255)] }, /none of byte 255/);
    refused({ byteFallback: true, pieces: [...specials, ...bytePieces, ["<0xaB>", 0, 6]] }, /another as piece 258/);
  });

  it("word and char models", () => {
    for (const type of [0, 3, 4, 9])
      expect(() => SentencePiece.parse(Uint8Array.of(0x12, 2, 0x18, type))).toThrow(/found model type/);
  });

  it("a file too large, and what is no file", () => {
    expect(() => SentencePiece.parse(new Uint8Array(MAX_MODEL_BYTES + 1))).toThrow(SiglipError);
    for (const value of [undefined, null, "model", new ArrayBuffer(8)])
      expect(() => SentencePiece.parse(value as unknown as Uint8Array)).toThrow(SiglipError);
  });
});
