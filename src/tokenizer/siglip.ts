import { SiglipError } from "../support/error.ts";
import type { SentencePiece } from "./sentencepiece.ts";
import { checkText } from "./text.ts";

/**
 * How a text is prepared:
 * - `siglip`: Hugging Face's SiglipTokenizer: lower-case, without punctuation, runs of white space as one space, trimmed;
 * - `siglip2`, `big_vision` (as in training): lower-case, nothing else;
 * - `open_clip`: HTML unescaped twice, `_` as a space, then as `siglip`. Mojibake is left as it is (open_clip repairs it with ftfy).
 */
export type Dialect = "siglip" | "siglip2" | "big_vision" | "open_clip";

const DIALECTS: readonly Dialect[] = ["siglip", "siglip2", "big_vision", "open_clip"];

/** Python's `string.punctuation`. */
const PUNCTUATION = /[!-/:-@[-`{-~]+/g;
/** Python's `\s`, which has U+001C to U+001F and U+0085 where JavaScript's has U+FEFF. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are white space to Python.
const WHITE_SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/g;

/** HTML's names are a table of two kilobytes that only one dialect needs: a chunk of its own in a bundle. */
let unescapeHtml: ((text: string) => string) | undefined;

/** Loads what a dialect needs beyond this module; to be awaited before `open_clip` is used. */
export async function prepareDialect(dialect: Dialect | undefined): Promise<void> {
  if (dialect === "open_clip") ({ unescapeHtml } = await import("./html.ts"));
}

const EOS = 1;
const MAX_IDS = 2 ** 28;

/**
 * The canonical form of a text, which is what the tokenizer reads. `toLowerCase` is Python's `lower()`: both follow Unicode's SpecialCasing
 * (final sigma, U+0130 as two characters); they differ only on letters that one runtime's Unicode version has and the other's lacks.
 */
export function canonical(text: string, dialect: Dialect): string {
  checkDialect(dialect);
  checkText(text, "The text");
  if (dialect === "siglip") return squeeze(text.toLowerCase().replace(PUNCTUATION, ""));
  if (dialect === "open_clip") {
    if (!unescapeHtml) {
      throw new SiglipError(
        `The dialect "open_clip" was wanted, found it not loaded; await prepareDialect("open_clip") first.`,
      );
    }
    // In open_clip's order: whether a sigma is final can depend on the punctuation around it.
    const plain = unescapeHtml(unescapeHtml(text)).replaceAll("_", " ");
    return squeeze(plain.replace(PUNCTUATION, "").toLowerCase());
  }
  return text.toLowerCase();
}

function squeeze(text: string): string {
  return text.replace(WHITE_SPACE, " ").replace(/^ | $/g, "");
}

/** Texts to the rows of ids a SigLIP text tower reads: canonical form, SentencePiece, eos, truncation, padding on the right. */
export class SiglipTokenizer {
  /** Ids a row. */
  readonly length: number;
  readonly #model: SentencePiece;
  readonly #dialect: Dialect;
  readonly #pad: number;

  /**
   * `length`: the text tower's number of positions (64; 16 for so400m-patch14-224). `dialect`: by default `siglip` for a unigram model
   * and `siglip2` for a BPE model. Eos is id 1; the pad is id 1 as well, but 0 for SigLIP 2 (a BPE model, or its dialect). SiglipError
   * where the model's id 1 is neither `</s>` nor `<eos>`, since it then belongs to no SigLIP.
   */
  constructor(model: SentencePiece, options: { length: number; dialect?: Dialect }) {
    const { length, dialect = model.algorithm === "bpe" ? "siglip2" : "siglip" } = options;
    if (!Number.isInteger(length) || length < 1 || length > MAX_IDS)
      throw new SiglipError(
        `The text length was expected to be an integer from 1 to ${MAX_IDS}, but is ${length}; pass the text tower's number of positions.`,
      );
    if (model.idOf("</s>") !== EOS && model.idOf("<eos>") !== EOS)
      throw new SiglipError(
        `Expected a SigLIP vocabulary, in which </s> or <eos> is id ${EOS}, but this one has another; pass the checkpoint's own spiece.model or tokenizer.model.`,
      );
    checkDialect(dialect);
    this.length = length;
    this.#model = model;
    this.#dialect = dialect;
    this.#pad = model.algorithm === "bpe" || dialect === "siglip2" ? 0 : EOS;
  }

  /**
   * The ids as [texts.length, length], row after row. A text too long loses its end, never its eos. At most 2^28 ids a call; a text that is
   * no string, or has more than 2^25 code units, is a SiglipError that names its index.
   */
  encode(texts: readonly string[]): Int32Array {
    if (!Array.isArray(texts))
      throw new SiglipError("Expected a list of texts, but got something else; pass an array of strings.");
    if (texts.length * this.length > MAX_IDS)
      throw new SiglipError(
        `Expected at most ${Math.floor(MAX_IDS / this.length)} texts at once, but got ${texts.length}; pass them in several calls.`,
      );
    for (let i = 0; i < texts.length; i++) checkText(texts[i], `Text ${i}`);
    const ids = new Int32Array(texts.length * this.length).fill(this.#pad);
    for (let i = 0; i < texts.length; i++) {
      const row = this.#model.encode(canonical(texts[i], this.#dialect), this.length - 1);
      ids.set(row, i * this.length);
      ids[i * this.length + row.length] = EOS;
    }
    return ids;
  }
}

function checkDialect(dialect: Dialect): void {
  if (!DIALECTS.includes(dialect))
    throw new SiglipError(
      `Expected a text dialect (${DIALECTS.join(", ")}), but got ${String(dialect)}; pass one of these.`,
    );
}
