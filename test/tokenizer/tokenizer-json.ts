import { type ModelProto, parseModel } from "../../src/tokenizer/model.ts";

const TYPES = { unknown: 2, control: 3, symbol: 4, byte: 6 };

/** A tokenizer.json's parsed content; tests change it at will. */
// biome-ignore lint/suspicious/noExplicitAny: it stands for foreign JSON.
export type TokenizerJson = any;

/** The parsed tokenizer.json that Hugging Face's converters make of a `.model` file. */
export function jsonOf(bytes: Uint8Array, { asStrings = false } = {}): TokenizerJson {
  const model = parseModel(bytes);
  const texts = model.pieces.map(({ start, end }) => Buffer.from(bytes.subarray(start, end)).toString());
  const added = texts.flatMap((content, id) => {
    const { type } = model.pieces[id];
    return type === TYPES.control || type === TYPES.symbol || type === TYPES.unknown
      ? [addedToken(id, content, { special: type !== TYPES.symbol, normalized: false })]
      : [];
  });
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: normalizerOf(model),
    pre_tokenizer: model.addDummyPrefix
      ? metaspace(model)
      : { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false },
    post_processor: null,
    decoder: null,
    model: model.algorithm === "bpe" ? bpeOf(model, texts, asStrings) : unigramOf(model, texts),
  };
}

/** An entry of `added_tokens`. */
export function addedToken(id: number, content: string, flags: Record<string, boolean> = {}): TokenizerJson {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: true, special: false, ...flags };
}

function normalizerOf(model: ModelProto): unknown {
  const lower = { type: "Lowercase" };
  if (!model.addDummyPrefix) {
    return { type: "Sequence", normalizers: [lower, { type: "Replace", pattern: { String: " " }, content: "▁" }] };
  }
  const rules = { type: "Precompiled", precompiled_charsmap: Buffer.from(model.charsmap).toString("base64") };
  const strip = { type: "Strip", strip_left: true, strip_right: true };
  const spaces = { type: "Replace", pattern: { Regex: " {2,}" }, content: "▁" };
  return { type: "Sequence", normalizers: [lower, rules, strip, spaces] };
}

function metaspace({ algorithm }: ModelProto): unknown {
  return { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: algorithm === "unigram" };
}

function unigramOf({ pieces, byteFallback }: ModelProto, texts: readonly string[]): unknown {
  return {
    type: "Unigram",
    unk_id: pieces.findIndex(({ type }) => type === TYPES.unknown),
    vocab: pieces.map(({ score }, id) => [texts[id], score]),
    byte_fallback: byteFallback,
  };
}

function bpeOf({ pieces, byteFallback }: ModelProto, texts: readonly string[], asStrings: boolean): unknown {
  const vocab = Object.fromEntries(texts.map((text, id) => [text, id]));
  const merges = mergesOf(texts, (text) => pieces[vocab[text]].score);
  return {
    type: "BPE",
    dropout: null,
    unk_token: texts[pieces.findIndex(({ type }) => type === TYPES.unknown)],
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: byteFallback,
    ignore_merges: false,
    vocab,
    // A string can name no piece that has a space.
    merges: asStrings ? merges.map((merge) => merge.join(" ")).filter((merge) => !/ .* /.test(merge)) : merges,
  };
}

/** All merges that make a piece, best score first: Hugging Face's `generate_merges`. */
export function mergesOf(texts: readonly string[], score: (text: string) => number): [string, string][] {
  const known = new Set(texts);
  const merges = texts.flatMap((text) => {
    const characters = [...text];
    return characters.slice(1).flatMap((_, i): [string, string][] => {
      const halves: [string, string] = [characters.slice(0, i + 1).join(""), characters.slice(i + 1).join("")];
      return halves.every((half) => known.has(half)) ? [halves] : [];
    });
  });
  return merges.sort(([a, b], [c, d]) => score(c + d) - score(a + b) || c.length - a.length || d.length - b.length);
}
