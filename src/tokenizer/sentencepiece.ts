import { Bpe } from "./bpe.ts";
import { invalid } from "./invalid.ts";
import { BYTE, type ModelProto, NORMAL, type Piece, parseModel, UNKNOWN, UNUSED, USER_DEFINED } from "./model.ts";
import { Normalizer } from "./normalizer.ts";
import { charLength, checkText } from "./text.ts";
import { Tokens } from "./tokens.ts";
import { ByteTrie } from "./trie.ts";
import { Unigram } from "./unigram.ts";

const encoder = new TextEncoder();

/**
 * A SentencePiece tokenizer read from its `.model` file (github.com/google/sentencepiece). It gives the ids
 * SentencePiece 0.2.2 gives, with one departure: a control symbol in a text is always text, even one of a single
 * character, which SentencePiece's BPE lets through.
 */
export class SentencePiece {
  /** The number of pieces; every id is below it. */
  readonly size: number;
  readonly algorithm: "unigram" | "bpe";
  /** The id of the unknown piece. */
  readonly unkId: number;
  private readonly normalizer: Normalizer;
  private readonly segmenter: Unigram | Bpe;
  /** Normal, user-defined and unused pieces: those that occur in texts. */
  private readonly trie: ByteTrie;
  /** Control, unknown and byte pieces. */
  private readonly reserved = new Map<string, number>();
  private readonly byteIds: Int32Array | undefined;
  private readonly divisible: boolean;

  /**
   * Reads a model file of at most 16 MiB; takes at most about 50 bytes for each of its bytes, and keeps none of them.
   * Anything but a sound unigram or BPE model is a SiglipError.
   */
  static parse(model: Uint8Array): SentencePiece {
    return new SentencePiece(parseModel(model));
  }

  /** The tokenizer that a model describes, of whose bytes nothing is kept. SiglipError where it contradicts itself. */
  constructor(model: ModelProto) {
    const { pieces } = model;
    this.size = pieces.length;
    this.algorithm = model.algorithm;
    this.unkId = pieces.findIndex((piece) => piece.type === UNKNOWN);
    if (this.unkId < 0) throw invalid("an unknown piece", "none");
    this.trie = trieOf(model, (type) => type === NORMAL || type === USER_DEFINED || type === UNUSED);
    const symbols = pieces.some((piece) => piece.type === USER_DEFINED)
      ? trieOf(model, (type) => type === USER_DEFINED)
      : undefined;
    const bytes = this.reserve(model);
    this.byteIds = model.byteFallback ? bytes : undefined;
    this.normalizer = new Normalizer(model, symbols);
    this.segmenter = model.algorithm === "unigram" ? new Unigram(model, this.trie) : new Bpe(model, this.trie, symbols);
    this.divisible = model.algorithm === "unigram" || !pieces.some((piece) => piece.type === UNUSED);
  }

  /** The id of a piece of the vocabulary, control symbols such as `</s>` included. */
  idOf(piece: string): number | undefined {
    const reserved = this.reserved.get(piece);
    if (reserved !== undefined) return reserved;
    const bytes = encoder.encode(piece);
    const id = this.trie.value(this.trie.walk(0, bytes, 0, bytes.length));
    return id < 0 ? undefined : id;
  }

  /**
   * The ids of a text, nothing added; of those the first `limit`, where that is given. Lone surrogates are read as
   * U+FFFD. Time and memory grow linearly with the text (BPE: n log n at worst); a text of more than 2^25 code units,
   * or bytes once normalised, is a SiglipError. Without `prefix` the model's dummy prefix is left out, as for what
   * follows an added token.
   */
  encode(text: string, limit = Number.POSITIVE_INFINITY, prefix = true): number[] {
    const bytes = this.normalizer.normalize(encoder.encode(checkText(text, "text")), prefix);
    const tokens = new Tokens(this.unkId, this.byteIds);
    for (let at = 0; at < bytes.length && tokens.ids.length < limit; ) {
      const end = this.divisible ? this.cut(bytes, at) : bytes.length;
      this.segmenter.encode(bytes, at, end, tokens);
      at = end;
    }
    return tokens.ids.length > limit ? tokens.ids.slice(0, limit) : tokens.ids;
  }

  /**
   * The first place after `start` that lies inside no character and no occurrence of a piece. What comes before it is
   * segmented alone with the same result: no path and no merge crosses it. (Unused pieces of a BPE are the exception,
   * since how they fall apart depends on the whole text.)
   */
  private cut(bytes: Uint8Array, start: number): number {
    let reach = start + 1;
    for (let at = start; at < reach; at++) {
      if (at === bytes.length) return at;
      const length = Math.max(charLength(bytes[at]), this.trie.longest(bytes, at, bytes.length));
      reach = Math.max(reach, at + length);
    }
    return Math.min(reach, bytes.length);
  }

  /** Notes the control, unknown and byte pieces, and returns the ids of the 256 bytes. */
  private reserve(model: ModelProto): Int32Array {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const byteIds = new Int32Array(256).fill(-1);
    model.pieces.forEach(({ start, end, type }, id) => {
      if (type === NORMAL || type === USER_DEFINED || type === UNUSED) return;
      if (type === UNKNOWN && id !== this.unkId) throw invalid("one unknown piece", `pieces ${this.unkId} and ${id}`);
      let text: string;
      try {
        text = decoder.decode(model.bytes.subarray(start, end));
      } catch {
        throw invalid("pieces in UTF-8", `other bytes in piece ${id}`);
      }
      if (this.reserved.has(text)) throw invalid("distinct pieces", `piece ${id} twice`);
      this.reserved.set(text, id);
      if (type !== BYTE) return;
      if (!model.byteFallback || !/^<0x[0-9A-F]{2}>$/.test(text))
        throw invalid("byte pieces <0x00> to <0xFF>, with byte fallback", `another as piece ${id}`);
      byteIds[Number.parseInt(text.slice(3, 5), 16)] = id;
    });
    if (model.byteFallback && byteIds.includes(-1))
      throw invalid("256 byte pieces", `none of byte ${byteIds.indexOf(-1)}`);
    return byteIds;
  }
}

/** The ids of the pieces of some types by their bytes. */
function trieOf(model: ModelProto, wanted: (type: number) => boolean): ByteTrie {
  const length = (piece: Piece) => (wanted(piece.type) ? piece.end - piece.start : 0);
  const trie = new ByteTrie(model.pieces.reduce((sum, piece) => sum + length(piece), 0));
  model.pieces.forEach((piece, id) => {
    if (wanted(piece.type) && !trie.add(model.bytes, piece.start, piece.end, id))
      throw invalid("distinct pieces", `piece ${id} twice`);
  });
  return trie;
}
