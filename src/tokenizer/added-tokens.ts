import { mismatch, type SiglipError } from "../support/error.ts";
import { own } from "./json.ts";
import { MAX_PIECE_BYTES } from "./model.ts";
import type { SentencePiece } from "./sentencepiece.ts";
import { ByteTrie } from "./trie.ts";

/** A token that was given to a tokenizer beside its pieces, as Hugging Face writes them. */
export interface AddedToken {
  readonly id: number;
  /** As it stands in texts; not empty. */
  readonly content: string;
  /** Whether it has a meaning of its own (`</s>`, `<pad>`), rather than being a word. */
  readonly special: boolean;
  /** Whether it is looked for in lower case. */
  readonly normalized: boolean;
  /** Whether it swallows the white space before it. */
  readonly lstrip: boolean;
  /** Whether it swallows the white space after it. */
  readonly rstrip: boolean;
  /** Whether it counts only where no letter, digit or `_` stands next to it. */
  readonly singleWord: boolean;
}

/** No table of tokens has as many rows. */
const MOST_IDS = 2 ** 20;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The tokens that a file lists: `added_tokens` of tokenizer.json (a list), `added_tokens_decoder` of
 * tokenizer_config.json (by id), or a whole added_tokens.json (ids by content). SiglipError, which begins with `file`,
 * for other things, ids that are none, and a content that stands there twice.
 */
export function readAddedTokens(file: string, value: unknown): AddedToken[] {
  if (typeof value !== "object" || value === null) throw unsound(file, "added tokens", "none of their forms");
  const tokens = Array.isArray(value)
    ? value.map((token) => readToken(file, own(token, "id"), token))
    : Object.entries(value).map(([name, token]) =>
        typeof token === "number" ? readToken(file, token, { content: name }) : readToken(file, Number(name), token),
      );
  const contents = new Set(tokens.map(({ content }) => content));
  if (contents.size < tokens.length) throw unsound(file, "added tokens of distinct contents", "one twice");
  return tokens;
}

function readToken(file: string, id: unknown, token: unknown): AddedToken {
  const content = own(token, "content");
  if (!(Number.isInteger(id) && Number(id) >= 0 && Number(id) < MOST_IDS)) {
    throw unsound(file, `ids of added tokens from 0 to ${MOST_IDS - 1}`, "another");
  }
  if (typeof content !== "string" || content === "" || encoder.encode(content).length > MAX_PIECE_BYTES) {
    throw unsound(file, `added tokens of 1 to ${MAX_PIECE_BYTES} bytes`, `another with id ${id}`);
  }
  const flag = (name: string, otherwise = false): boolean => {
    const value = own(token, name) ?? otherwise;
    if (typeof value !== "boolean") throw unsound(file, `${name} to be true or false`, `another with id ${id}`);
    return value;
  };
  const special = flag("special");
  return {
    id: Number(id),
    content,
    special,
    normalized: flag("normalized", !special),
    lstrip: flag("lstrip"),
    rstrip: flag("rstrip"),
    singleWord: flag("single_word"),
  };
}

function unsound(file: string, wanted: string, found: string): SiglipError {
  return mismatch("bad-checkpoint", file, wanted, found, "fetch it again");
}

/** What Python's and Rust's `\w` take for part of a word. */
const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

/** A stretch of a text: an added token's id, or text between them. */
type Stretch = number | string;

/**
 * Cuts texts at added tokens, as Hugging Face's tokenizers do: first at those that are matched as they are written, then,
 * in lower case, at the others; the leftmost and longest first.
 */
export class AddedTokens {
  private readonly passes: readonly { readonly lower: boolean; readonly matcher: Matcher }[];
  private readonly prefixed: boolean;

  /**
   * `prefixed`: whether the model's dummy prefix stands before every stretch of text (as tokenizer.json's "always"
   * says), or before the text's beginning alone (as Hugging Face's SiglipTokenizer reads a `.model`).
   */
  constructor(tokens: readonly AddedToken[], prefixed: boolean) {
    const written = tokens.filter(({ normalized }) => !normalized);
    const normalized = tokens.filter((token) => token.normalized);
    this.passes = [
      { lower: false, matcher: new Matcher(written) },
      {
        lower: true,
        matcher: new Matcher(normalized.map((token) => ({ ...token, content: token.content.toLowerCase() }))),
      },
    ];
    this.prefixed = prefixed;
  }

  /** The first `limit` ids of a text: those of added tokens, and the model's for the canonical form of what is between. */
  encode(text: string, limit: number, model: SentencePiece, canonical: (text: string) => string): number[] {
    let stretches: Stretch[] = [text];
    for (const { lower, matcher } of this.passes) {
      stretches = stretches.flatMap((part) =>
        typeof part === "number" ? [part] : matcher.cut(lower ? part.toLowerCase() : part),
      );
    }
    const ids: number[] = [];
    for (const [index, part] of stretches.entries()) {
      if (ids.length >= limit) break;
      if (typeof part === "number") ids.push(part);
      else {
        const prefix = this.prefixed || index === 0;
        for (const id of model.encode(canonical(part), limit - ids.length, prefix)) ids.push(id);
      }
    }
    return ids;
  }
}

/** Finds tokens in texts, in time that grows linearly with the text. */
class Matcher {
  private readonly tokens: readonly AddedToken[];
  private readonly trie: ByteTrie;

  constructor(tokens: readonly AddedToken[]) {
    const contents = tokens.map(({ content }) => encoder.encode(content));
    this.tokens = tokens;
    this.trie = new ByteTrie(contents.reduce((sum, { length }) => sum + length, 0));
    for (const [index, content] of contents.entries()) this.trie.add(content, 0, content.length, index);
  }

  cut(text: string): Stretch[] {
    if (this.tokens.length === 0) return [text];
    const bytes = encoder.encode(text);
    const parts: Stretch[] = [];
    let start = 0;
    for (let at = 0; at < bytes.length; ) {
      const length = this.trie.longest(bytes, at, bytes.length);
      if (length === 0) {
        at++;
        continue;
      }
      const token = this.tokens[this.trie.value(this.trie.walk(0, bytes, at, at + length))];
      let end = at + length;
      at = end;
      const begin = end - length;
      if (token.singleWord && (isWord(bytes, begin, -1) || isWord(bytes, end, 1))) continue;
      let before = decoder.decode(bytes.subarray(start, begin));
      if (token.lstrip) before = before.trimEnd();
      if (token.rstrip) while (end < bytes.length && isSpace(bytes, end)) end += charBytes(bytes, end);
      if (before !== "") parts.push(before);
      parts.push(token.id);
      start = end;
      at = end;
    }
    if (start < bytes.length || parts.length === 0) parts.push(decoder.decode(bytes.subarray(start)));
    return parts;
  }
}

/** Whether the character that ends (-1) or begins (1) at an offset is part of a word. */
function isWord(bytes: Uint8Array, at: number, direction: -1 | 1): boolean {
  let from = at;
  if (direction < 0) {
    if (at === 0) return false;
    do from--;
    while (from > 0 && (bytes[from] & 0xc0) === 0x80);
  }
  return from < bytes.length && WORD.test(charAt(bytes, from));
}

function isSpace(bytes: Uint8Array, at: number): boolean {
  return charAt(bytes, at).trim() === "";
}

function charAt(bytes: Uint8Array, at: number): string {
  return decoder.decode(bytes.subarray(at, at + charBytes(bytes, at)));
}

function charBytes(bytes: Uint8Array, at: number): number {
  let end = at + 1;
  while (end < bytes.length && (bytes[end] & 0xc0) === 0x80) end++;
  return end - at;
}
