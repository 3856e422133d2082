import { mismatch } from "../support/error.ts";
import { Charsmap } from "./charsmap.ts";
import type { ModelProto } from "./model.ts";
import { charLength, MAX_TEXT } from "./text.ts";
import type { ByteTrie } from "./trie.ts";

const SPACE = 0x20;
const PLAIN_SPACE = Uint8Array.of(SPACE);
const META_SPACE = new TextEncoder().encode("\u2581");
const REPLACEMENT = new TextEncoder().encode("\ufffd");

/** SentencePiece's normaliser (normalizer.cc): rules, dummy prefix or suffix, extra spaces, spaces as U+2581. */
export class Normalizer {
  private readonly charsmap: Charsmap | undefined;
  private readonly symbols: ByteTrie | undefined;
  private readonly prefix: boolean;
  private readonly suffix: boolean;
  private readonly trim: boolean;
  private readonly escape: boolean;

  // What `read` found: `source[start, end)` stands for `consumed` bytes of the input.
  private source: Uint8Array = PLAIN_SPACE;
  private start = 0;
  private end = 0;
  private consumed = 0;

  /** `symbols`: the user-defined symbols, which pass as they are; undefined where there are none. */
  constructor(model: ModelProto, symbols: ByteTrie | undefined) {
    this.charsmap = model.charsmap.length > 0 ? new Charsmap(model.charsmap) : undefined;
    this.symbols = symbols;
    this.prefix = model.addDummyPrefix && !model.treatWhitespaceAsSuffix;
    this.suffix = model.addDummyPrefix && model.treatWhitespaceAsSuffix;
    this.trim = model.removeExtraWhitespaces;
    this.escape = model.escapeWhitespaces;
  }

  /** The normalised form of valid UTF-8, without the dummy prefix where `prefix` is false; SiglipError where it would
   * exceed `MAX_TEXT` bytes. */
  normalize(input: Uint8Array, prefix: boolean): Uint8Array {
    const space = this.escape ? META_SPACE : PLAIN_SPACE;
    let at = 0;
    if (this.trim) {
      while (at < input.length) {
        this.read(input, at);
        if (this.end - this.start !== 1 || this.source[this.start] !== SPACE) break;
        at += this.consumed;
      }
    }
    if (at === input.length) return new Uint8Array();

    const out = new Output(Math.min(MAX_TEXT, input.length + 64));
    if (this.prefix && prefix) out.append(space, 0, space.length);
    let afterSpace = this.trim;
    while (at < input.length) {
      this.read(input, at);
      const source = this.source;
      let start = this.start;
      while (afterSpace && start < this.end && source[start] === SPACE) start++;
      if (start < this.end) {
        if (this.escape) out.appendEscaped(source, start, this.end);
        else out.append(source, start, this.end);
        afterSpace = this.trim && source[this.end - 1] === SPACE;
      }
      at += this.consumed;
    }
    if (this.trim) while (out.endsWith(space)) out.length -= space.length;
    if (this.suffix) out.append(space, 0, space.length);
    return out.bytes.subarray(0, out.length);
  }

  /** Reads the next unit of `input`: a user-defined symbol, what a rule matches, or one character. */
  private read(input: Uint8Array, at: number): void {
    this.source = input;
    this.start = at;
    this.consumed = this.symbols?.longest(input, at, input.length) ?? 0;
    if (this.consumed === 0 && this.charsmap) {
      const found = this.charsmap.longest(input, at, input.length);
      if (found !== 0) {
        this.source = this.charsmap.replacements;
        this.start = Math.floor(found / 1024);
        this.consumed = found % 1024;
        this.end = this.start;
        while (this.end < this.source.length && this.source[this.end] !== 0) this.end++;
        return;
      }
    }
    if (this.consumed === 0) {
      // The input is valid UTF-8: a continuation byte comes first only after a symbol or rule that ends inside a
      // character.
      if ((input[at] & 0xc0) === 0x80) {
        this.source = REPLACEMENT;
        this.start = 0;
        this.end = REPLACEMENT.length;
        this.consumed = 1;
        return;
      }
      this.consumed = Math.min(charLength(input[at]), input.length - at);
    }
    this.end = at + this.consumed;
  }
}

class Output {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  append(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    for (let i = start; i < end; i++) this.bytes[this.length++] = source[i];
  }

  /** Appends, with U+2581 for every space. */
  appendEscaped(source: Uint8Array, start: number, end: number): void {
    for (let i = start; i < end; i++) {
      if (source[i] === SPACE) this.append(META_SPACE, 0, META_SPACE.length);
      else {
        this.reserve(1);
        this.bytes[this.length++] = source[i];
      }
    }
  }

  endsWith(suffix: Uint8Array): boolean {
    if (this.length < suffix.length) return false;
    for (let i = 0; i < suffix.length; i++) if (this.bytes[this.length - suffix.length + i] !== suffix[i]) return false;
    return true;
  }

  private reserve(more: number): void {
    const wanted = this.length + more;
    if (wanted <= this.bytes.length) return;
    if (wanted > MAX_TEXT)
      throw mismatch("bad-input", "text", `at most ${MAX_TEXT} normalised bytes`, "more", "shorten it");
    const larger = new Uint8Array(Math.min(MAX_TEXT, 2 * wanted));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
}
