import { mismatch, type SiglipError } from "../support/error.ts";
import { MAX_PIECE_BYTES, own } from "./json.ts";
import type { SentencePiece } from "./sentencepiece.ts";

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
        typeof token === "number"
          ? readToken(file, token, { content: name })
          : readToken(file, /^\d+$/.test(name) ? Number(name) : name, token),
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
const WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

/** A stretch of a text: an added token's id, or text between them. */
type Stretch = number | string;

/**
 * Cuts texts at added tokens, as Hugging Face's tokenizers do: first at those that are matched as they are written,
 * then, in lower case, at the others; the leftmost and longest first.
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

  /**
   * The first `limit` ids of a text: those of added tokens, and the model's for the canonical form of what is between.
   */
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
  /** A trie of the tokens' contents, by UTF-16 code units. */
  private readonly root: Node = { next: new Map() };

  constructor(tokens: readonly AddedToken[]) {
    for (const token of tokens) {
      let node = this.root;
      for (let at = 0; at < token.content.length; at++) {
        const unit = token.content.charCodeAt(at);
        const next = node.next.get(unit) ?? { next: new Map() };
        node.next.set(unit, next);
        node = next;
      }
      node.token = token;
    }
  }

  cut(text: string): Stretch[] {
    const stretches: Stretch[] = [];
    let start = 0;
    for (let at = 0; at < text.length; ) {
      const token = this.longest(text, at);
      const begin = at;
      at += token?.content.length ?? 1;
      if (!token || (token.singleWord && (wordBefore(text, begin) || wordAfter(text, at)))) continue;
      const before = text.slice(start, begin);
      if (token.rstrip) while (at < text.length && text[at].trim() === "") at++;
      stretches.push(token.lstrip ? before.trimEnd() : before, token.id);
      start = at;
    }
    return [...stretches, text.slice(start)].filter((stretch) => stretch !== "");
  }

  /** The longest token that begins at an offset. */
  private longest(text: string, start: number): AddedToken | undefined {
    let found: AddedToken | undefined;
    let node = this.root.next.get(text.charCodeAt(start));
    for (let at = start + 1; node; at++) {
      found = node.token ?? found;
      node = node.next.get(text.charCodeAt(at));
    }
    return found;
  }
}

interface Node {
  readonly next: Map<number, Node>;
  token?: AddedToken;
}

function wordBefore(text: string, at: number): boolean {
  const pair = /[\udc00-\udfff]/.test(text.slice(at - 1, at)) ? 2 : 1;
  return WORD.test(text.slice(Math.max(0, at - pair), at));
}

function wordAfter(text: string, at: number): boolean {
  return WORD.test(text.slice(at, at + 2));
}
