import { mismatch } from "../support/error.ts";
import type { AddedTokens } from "./added-tokens.ts";
import { invalid } from "./invalid.ts";
import type { SentencePiece } from "./sentencepiece.ts";
import { checkText } from "./text.ts";

/**
 * How a text is prepared:
 * - `siglip`: Hugging Face's SiglipTokenizer: lower-case, without punctuation, runs of white space as one space,
 *   trimmed;
 * - `siglip2`, `big_vision` (as in training): lower-case, nothing else;
 * - `open_clip`: HTML unescaped twice, `_` as a space, then as `siglip`. Mojibake is left as it is (open_clip repairs
 *   it with ftfy).
 */
export type Dialect = "siglip" | "siglip2" | "big_vision" | "open_clip";

const DIALECTS: readonly Dialect[] = ["siglip", "siglip2", "big_vision", "open_clip"];

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
 * The canonical form of a dialect; a SiglipError for one that is none. `toLowerCase` is Python's `lower()`: both follow
 * Unicode's SpecialCasing (final sigma, U+0130 as two characters); they differ only on letters that one runtime's
 * Unicode version has and the other's lacks.
 */
export async function canonicalOf(dialect: Dialect): Promise<Canonical> {
  if (!DIALECTS.includes(dialect)) {
    throw mismatch("bad-input", "dialect", `one of ${DIALECTS.join(", ")}`, String(dialect), "choose one");
  }
  if (dialect === "siglip") return (text) => squeeze(text.toLowerCase().replace(PUNCTUATION, ""));
  if (dialect === "open_clip") {
    // A chunk of its own in a bundle: only this dialect needs the 2,231 names of HTML and the package that has them.
    const { unescapeHtml } = await import("./html.ts");
    // In open_clip's order: whether a sigma is final can depend on the punctuation around it.
    return (text) => {
      const plain = unescapeHtml(unescapeHtml(text)).replaceAll("_", " ");
      return squeeze(plain.replace(PUNCTUATION, "").toLowerCase());
    };
  }
  return (text) => text.toLowerCase();
}

function squeeze(text: string): string {
  return text.replace(WHITE_SPACE, " ").replace(/^ | $/g, "");
}

/** Options of a tokenizer. */
export interface TokenizerOptions {
  /** The text tower's number of positions: 64, but 16 for so400m-patch14-224. */
  readonly length: number;
  /** By default `siglip` for a unigram model and `siglip2` for a BPE model. */
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
   * Eos is id 1; the pad is id 1 as well, but 0 for SigLIP 2 (a BPE model, or its dialect). Rejects with a SiglipError
   * where the model's id 1 is neither `</s>` nor `<eos>`, since it then belongs to no SigLIP.
   */
  static async make(model: SentencePiece, { length, dialect, added }: TokenizerOptions): Promise<SiglipTokenizer> {
    if (!Number.isInteger(length) || length < 1 || length > MAX_IDS) {
      throw mismatch("bad-input", "length", `a whole number from 1 to ${MAX_IDS}`, `${length}`, "pass config.json's");
    }
    if (model.idOf("</s>") !== EOS && model.idOf("<eos>") !== EOS) {
      throw invalid(`SigLIP's vocabulary, in which </s> or <eos> is id ${EOS}`, "another");
    }
    const chosen = dialect ?? (model.algorithm === "bpe" ? "siglip2" : "siglip");
    const canonical = await canonicalOf(chosen);
    const pad = model.algorithm === "bpe" || chosen === "siglip2" ? 0 : EOS;
    return new SiglipTokenizer(model, length, canonical, pad, added);
  }

  /**
   * The ids as [texts.length, length], row after row. A text too long loses its end, never its eos. At most 2^28 ids a
   * call; a text that is no string, or has more than 2^25 code units, is a SiglipError that names its index.
   */
  encode(texts: readonly string[]): Int32Array {
    if (!Array.isArray(texts)) throw mismatch("bad-input", "texts", "a list", typeof texts, "pass a list");
    if (texts.length * this.length > MAX_IDS) {
      const most = Math.floor(MAX_IDS / this.length);
      throw mismatch("bad-input", "texts", `at most ${most} at once`, `${texts.length}`, "pass fewer");
    }
    for (let i = 0; i < texts.length; i++) checkText(texts[i], `text ${i}`);
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
