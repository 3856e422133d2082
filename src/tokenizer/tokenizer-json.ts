import { mismatch, type SiglipError } from "../support/error.ts";
import { type AddedToken, readAddedTokens } from "./added-tokens.ts";
import { BYTE, CONTROL, MAX_PIECE_BYTES, NORMAL, own, show, UNKNOWN, USER_DEFINED } from "./json.ts";
import { readRules } from "./json-rules.ts";
import { scoresOf } from "./merges.ts";
import type { ModelProto } from "./model.ts";

/** A tokenizer as tokenizer.json describes it. */
export interface JsonTokenizer {
  /** What a `.model` file of the same tokenizer says. */
  readonly model: ModelProto;
  /** The added tokens whose ids lie beyond its pieces. */
  readonly added: readonly AddedToken[];
  /** Whether the model's dummy prefix stands after every added token, too. */
  readonly prefixed: boolean;
}

/** No tokenizer of a model that is loaded has as many. */
const MOST_PIECES = 2 ** 20;

/** No more bytes of pieces than a `.model` file may have. */
const MOST_BYTES = 2 ** 24;

/** User-defined symbols of Gemma's `.model` that Hugging Face calls special. */
const SYMBOLS: readonly string[] = ["<mask>", "<start_of_turn>", "<end_of_turn>"];

/**
 * Reads a parsed tokenizer.json of Hugging Face's tokenizers into a SentencePiece model: Unigram, or BPE with all of
 * SentencePiece's merges, which is what its conversions of `.model` files are. Added tokens that are pieces become
 * control symbols where they are special, else user-defined ones. SiglipError for anything else, "unsupported" with the
 * name of what SentencePiece cannot do.
 */
export function readTokenizerJson(json: unknown): JsonTokenizer {
  const model = own(json, "model");
  if (typeof model !== "object" || model === null) throw unsound("a model", show(model));
  const vocabulary = own(model, "vocab");
  const type = own(model, "type") ?? (Array.isArray(vocabulary) ? "Unigram" : "BPE");
  if (type !== "Unigram" && type !== "BPE") throw unsupported("a Unigram or BPE model", `type ${show(type)}`);
  const algorithm = type === "BPE" ? "bpe" : "unigram";
  for (const name of ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"]) {
    if (own(model, name)) throw unsupported(`a model without ${name}`, show(own(model, name)));
  }
  const byteFallback = own(model, "byte_fallback") === true;
  if (algorithm === "bpe" && !byteFallback && own(model, "fuse_unk") === false) {
    throw unsupported("fuse_unk to be true", "false");
  }
  const added = readAddedTokens("tokenizer.json", own(json, "added_tokens") ?? []);
  const { prefixed, ...rules } = readRules(json, algorithm);

  const scores: number[] = [];
  const texts = algorithm === "bpe" ? byId(vocabulary, added) : inOrder(vocabulary, scores);
  if (byteFallback) restoreTab(texts);
  const unknown =
    algorithm === "bpe" ? texts.indexOf((own(model, "unk_token") ?? "<unk>") as string) : own(model, "unk_id");
  const types = typesOf(texts, byteFallback, added, unknown);
  const { bytes, ends } = encodeAll(texts);
  const scored = algorithm === "bpe" ? scoresOf(own(model, "merges"), texts, types) : scores;
  const pieces = texts.map((_, id) => {
    const start = id === 0 ? 0 : ends[id - 1];
    return { start, end: ends[id], score: scored[id], type: types[id] };
  });
  return {
    model: { bytes, pieces, algorithm, byteFallback, treatWhitespaceAsSuffix: false, ...rules },
    added: added.filter(({ id }) => id >= texts.length),
    prefixed,
  };
}

/** The pieces of a Unigram, [piece, score] each, whose scores are appended to `scores`. */
function inOrder(vocabulary: unknown, scores: number[]): string[] {
  if (!Array.isArray(vocabulary) || vocabulary.length > MOST_PIECES) {
    throw unsound(`at most ${MOST_PIECES} pieces`, `${Array.isArray(vocabulary) ? vocabulary.length : "none"}`);
  }
  return vocabulary.map((entry, id) => {
    const [text, value]: unknown[] = Array.isArray(entry) ? entry : [];
    const score = typeof value === "number" ? Math.fround(value) : Number.NaN;
    if (typeof text !== "string" || !Number.isFinite(score)) {
      throw unsound("pieces with a score", `another as piece ${id}`);
    }
    scores.push(score);
    return text;
  });
}

/** The pieces of a BPE, whose ids stand under their texts; gaps between them are added tokens. */
function byId(vocabulary: unknown, added: readonly AddedToken[]): string[] {
  if (typeof vocabulary !== "object" || vocabulary === null) throw unsound("a vocabulary", show(vocabulary));
  const entries: [string, unknown][] = Object.entries(vocabulary);
  if (entries.length > MOST_PIECES) throw unsound(`at most ${MOST_PIECES} pieces`, `${entries.length}`);
  const most = entries.length + added.length;
  const texts = new Array<string | undefined>(most).fill(undefined);
  let size = 0;
  const put = (id: unknown, text: string) => {
    if (!(typeof id === "number" && Number.isInteger(id) && id >= 0 && id < most && texts[id] === undefined)) {
      throw unsound(`distinct ids from 0 to ${most - 1}`, `${show(id)} for ${show(text)}`);
    }
    texts[id] = text;
    size = Math.max(size, id + 1);
  };
  for (const [text, id] of entries) put(id, text);
  texts.length = size;
  for (const { id, content } of added) if (id < size && texts[id] === undefined) put(id, content);
  const gap = texts.indexOf(undefined);
  if (gap >= 0) throw unsound("ids without a gap", `no piece ${gap}`);
  return texts as string[];
}

/**
 * Hugging Face's conversion writes a tab in the place of its byte where the `.model` has no piece for it; SentencePiece
 * falls back to the byte, whose id is the same.
 */
function restoreTab(texts: string[]): void {
  const tab = texts.indexOf("\t");
  if (tab >= 0 && texts[tab - 1] === "<0x08>" && texts[tab + 1] === "<0x0A>") texts[tab] = "<0x09>";
}

function typesOf(
  texts: readonly string[],
  byteFallback: boolean,
  added: readonly AddedToken[],
  unknown: unknown,
): Uint8Array {
  const types = Uint8Array.from(texts, (text) =>
    byteFallback && text.length === 6 && /^<0x[0-9A-F]{2}>$/.test(text) ? BYTE : NORMAL,
  );
  for (const { id, content, special } of added) {
    if (id >= texts.length) continue;
    if (texts[id] !== content && !(content === "\t" && types[id] === BYTE)) {
      throw unsound(`${show(texts[id])} with id ${id}, as in the vocabulary`, show(content));
    }
    if (types[id] === NORMAL) types[id] = special && !SYMBOLS.includes(content) ? CONTROL : USER_DEFINED;
  }
  if (typeof unknown !== "number" || !(unknown in texts)) throw unsound("an unknown piece", show(unknown));
  types[unknown] = UNKNOWN;
  return types;
}

/** The UTF-8 bytes of texts, one after the other, and where each ends. */
function encodeAll(texts: readonly string[]): { readonly bytes: Uint8Array; readonly ends: Uint32Array } {
  const bytes = new Uint8Array(texts.reduce((sum, { length }) => sum + 3 * length, 0));
  const ends = new Uint32Array(texts.length);
  let end = 0;
  for (let id = 0; id < texts.length; id++) {
    const start = end;
    // Not a TextEncoder's call for each: that takes many times as long as its few bytes do.
    for (const character of texts[id]) end = encode(character.codePointAt(0)!, bytes, end);
    if (end === start || end - start > MAX_PIECE_BYTES) {
      throw unsound(`pieces of 1 to ${MAX_PIECE_BYTES} bytes`, `piece ${id} of ${end - start}`);
    }
    ends[id] = end;
  }
  if (end >= MOST_BYTES) throw unsound(`pieces of less than ${MOST_BYTES} bytes`, `${end}`);
  return { bytes: bytes.slice(0, end), ends };
}

/** Writes a character as UTF-8, a lone surrogate as U+FFFD, and returns where it ends. */
function encode(code: number, bytes: Uint8Array, start: number): number {
  if (code < 0x80) {
    bytes[start] = code;
    return start + 1;
  }
  const sound = (code & 0xfff800) === 0xd800 ? 0xfffd : code;
  const more = sound < 0x800 ? 1 : sound < 0x10000 ? 2 : 3;
  bytes[start] = (0xff00 >> (more + 1)) | (sound >> (6 * more));
  for (let i = 1; i <= more; i++) bytes[start + i] = 0x80 | ((sound >> (6 * (more - i))) & 0x3f);
  return start + more + 1;
}

function unsound(wanted: string, found: string): SiglipError {
  return mismatch("bad-checkpoint", "tokenizer.json", wanted, found, "fetch it again");
}

function unsupported(wanted: string, found: string): SiglipError {
  return mismatch("unsupported", "tokenizer.json", wanted, found, "take SigLIP's own");
}
