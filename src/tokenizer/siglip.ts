import { mismatch } from "../support/error.ts";
import type { AddedTokens } from "./added-tokens.ts";
import { invalid } from "./invalid.ts";
import type { SentencePiece } from "./sentencepiece.ts";
import { checkText } from "./text.ts";

/**
 * How a text is prepared before it is cut into tokens:
 * - `hf`, the default: as Hugging Face's tokenizer of the model. SigLIP: lower-case, without punctuation, runs of white
 *   space as one space, trimmed. SigLIP 2: lower-case, nothing else;
 * - `big_vision`: as in training, for both: lower-case, nothing else;
 * - `open_clip`: for both: HTML unescaped twice, `_` as a space, then as `hf` does for SigLIP. Mojibake is left as it
 *   is (open_clip repairs it with ftfy).
 */
export type Dialect = "hf" | "big_vision" | "open_clip";

/** Python's `string.punctuation`. */
const PUNCTUATION = /[!-/:-@[-`{-~]+/g;
/** Python's `\s`, which has U+001C to U+001F and U+0085 where JavaScript's has U+FEFF. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are white space to Python.
const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

const EOS = 1;
const MAX_IDS = 2 ** 28;

/** Makes of a text its canonical form, which is what the tokenizer reads. */
export type Canonical = (text: string) => string;

/**
 * The canonical form of a dialect for SigLIP (whose model is a unigram) or SigLIP 2 (BPE); a SiglipError for a dialect
 * that is none. `toLowerCase` is Python's `lower()`: both follow Unicode's SpecialCasing (final sigma, U+0130 as two
 * characters); they differ only on letters that one runtime's Unicode version has and the other's lacks.
 */
export async function canonicalOf(dialect: Dialect, algorithm: SentencePiece["algorithm"]): Promise<Canonical> {
  if (dialect === "hf" && algorithm === "unigram") return (text) => plain(text.toLowerCase());
  if (dialect === "hf" || dialect === "big_vision") return (text) => text.toLowerCase();
  // A chunk of its own in a bundle: only this dialect needs the 2,231 names of HTML and the package that has them.
  return (await import("./open-clip.ts")).openClip(dialect, plain);
}

/** Without punctuation, runs of white space as one space, trimmed. */
function plain(text: string): string {
  return text.replace(PUNCTUATION, "").replace(WHITE_SPACE, " ").replace(/^ | $/g, "");
}

/** Options of a tokenizer. */
export interface TokenizerOptions {
  /** The text tower's number of positions: 64, but 16 for so400m-patch14-224. */
  readonly length: number;
  /** By default `hf`. */
  readonly dialect?: Dialect;
  /** Tokens beyond the model's pieces, which are looked for before texts are canonicalised. */
  readonly added?: AddedTokens;
}

/**
 * Texts to the rows of ids a SigLIP text tower reads: canonical form, SentencePiece, eos, truncation, padding on the
 * right.
 */
export class SiglipTokenizer {
  /** Ids a row. */
  readonly length: number;
  private readonly model: SentencePiece;
  private readonly canonical: Canonical;
  private readonly pad: number;
  private readonly added: AddedTokens | undefined;

  private constructor(
    model: SentencePiece,
    length: number,
    canonical: Canonical,
    pad: number,
    added: AddedTokens | undefined,
  ) {
    this.length = length;
    this.model = model;
    this.canonical = canonical;
    this.pad = pad;
    this.added = added;
  }

  /**
   * Which SigLIP it is the model's algorithm says, whatever the tokenizer's class is called: all of the first have a
   * unigram (of 32,000 or 250,000 pieces), all of the second Gemma's BPE. Eos is id 1; the pad is id 1 as well, but 0
   * for SigLIP 2. Rejects with a SiglipError where the model's id 1 is neither `</s>` nor `<eos>`, since it then belongs
   * to no SigLIP.
   */
  static async make(
    model: SentencePiece,
    { length, dialect = "hf", added }: TokenizerOptions,
  ): Promise<SiglipTokenizer> {
    if (!Number.isInteger(length) || length < 1 || length > MAX_IDS) {
      throw mismatch("bad-input", "length", `a whole number from 1 to ${MAX_IDS}`, `${length}`, "pass config.json's");
    }
    if (model.idOf("</s>") !== EOS && model.idOf("<eos>") !== EOS) {
      throw invalid(`SigLIP's vocabulary, in which </s> or <eos> is id ${EOS}`, "another");
    }
    const canonical = await canonicalOf(dialect, model.algorithm);
    const pad = model.algorithm === "bpe" ? 0 : EOS;
    return new SiglipTokenizer(model, length, canonical, pad, added);
  }

  /**
   * The ids as [texts.length, length], row after row. A text too long loses its end, never its eos. At most 2^28 ids a
   * call; a text that is no string, or has more than 2^25 code units, is a SiglipError that names its index, counted from
   * `first`.
   */
  encode(texts: readonly string[], first = 0): Int32Array {
    if (!Array.isArray(texts)) throw mismatch("bad-input", "texts", "a list", typeof texts, "pass a list");
    if (texts.length * this.length > MAX_IDS) {
      const most = Math.floor(MAX_IDS / this.length);
      throw mismatch("bad-input", "texts", `at most ${most} at once`, `${texts.length}`, "pass fewer");
    }
    for (let i = 0; i < texts.length; i++) checkText(texts[i], `text ${first + i}`);
    const ids = new Int32Array(texts.length * this.length).fill(this.pad);
    const { model, canonical, added } = this;
    const most = this.length - 1;
    for (let i = 0; i < texts.length; i++) {
      const row = added ? added.encode(texts[i], most, model, canonical) : model.encode(canonical(texts[i]), most);
      ids.set(row, i * this.length);
      ids[i * this.length + row.length] = EOS;
    }
    return ids;
  }
}
