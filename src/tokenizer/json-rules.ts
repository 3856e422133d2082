import { mismatch, type SiglipError } from "../support/error.ts";
import { own, show } from "./json.ts";
import type { ModelProto } from "./model.ts";

/** What a model's normaliser does with texts. */
export type Rules = Pick<ModelProto, "charsmap" | "addDummyPrefix" | "removeExtraWhitespaces" | "escapeWhitespaces"> & {
  /** Whether the dummy prefix stands after every added token, too. */
  readonly prefixed: boolean;
};

/** Steps of a normaliser or a pre-tokeniser; published ones have at most six. */
const MOST_STEPS = 64;

const META = "\u2581";
const PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/**
 * SentencePiece's normaliser from the `normalizer` and `pre_tokenizer` of a tokenizer.json. Steps that belong to the
 * canonical form of texts (lower case, no punctuation, trimmed, runs of white space as one) are left to the dialect.
 * SiglipError ("unsupported") that names a step which SentencePiece has not.
 */
export function readRules(json: unknown, algorithm: ModelProto["algorithm"]): Rules {
  const rules = {
    charsmap: new Uint8Array(),
    addDummyPrefix: false,
    removeExtraWhitespaces: false,
    escapeWhitespaces: false,
    prefixed: false,
  };
  for (const step of stepsOf(own(json, "normalizer"), "normalizers")) {
    const type = own(step, "type");
    if (type === "Lowercase") continue;
    if (type === "Strip") rules.removeExtraWhitespaces = true;
    else if (type === "Precompiled" && rules.charsmap.length === 0) {
      rules.charsmap = decodeBase64(own(step, "precompiled_charsmap"));
    } else if (type === "Prepend" && own(step, "prepend") === META) rules.addDummyPrefix = true;
    else if (type === "Replace") readReplace(step, rules);
    else throw unsupported("normalizer", step);
  }
  for (const step of stepsOf(own(json, "pre_tokenizer"), "pretokenizers")) {
    const type = own(step, "type");
    // Spaces became U+2581 before: there is nothing to split at.
    if (type === "Split" && own(own(step, "pattern"), "String") === " " && rules.escapeWhitespaces) continue;
    if (type === "WhitespaceSplit" && algorithm === "unigram") rules.removeExtraWhitespaces = true;
    else if (type === "Metaspace" && own(step, "replacement") === META) {
      // Before a BPE it would forbid pieces of more than one word, which SentencePiece's has.
      if (algorithm === "bpe" && own(step, "split") !== false) throw unsupported("pre_tokenizer", step);
      const scheme = own(step, "prepend_scheme") ?? (own(step, "add_prefix_space") === false ? "never" : "always");
      rules.escapeWhitespaces = true;
      rules.addDummyPrefix ||= scheme !== "never";
      rules.prefixed = scheme === "always";
    } else throw unsupported("pre_tokenizer", step);
  }
  return rules;
}

function readReplace(step: unknown, rules: { escapeWhitespaces: boolean; removeExtraWhitespaces: boolean }): void {
  const pattern = own(step, "pattern");
  const content = own(step, "content");
  const regex = own(pattern, "Regex");
  if (own(pattern, "String") === " " && content === META) rules.escapeWhitespaces = true;
  else if ((regex === "\\s+" || regex === " {2,}") && (content === " " || content === META)) {
    rules.removeExtraWhitespaces = true;
  } else if (!(content === "" && typeof regex === "string" && isPunctuation(regex))) {
    throw unsupported("normalizer", step);
  }
}

/** Whether a pattern is a class of all of Python's `string.punctuation`, whichever way it is escaped. */
function isPunctuation(pattern: string): boolean {
  const inside = /^\[((?:\\[^a-zA-Z0-9]|[^\\^\]])+)\]\+?$/.exec(pattern.slice(0, 200))?.[1];
  return inside !== undefined && [...inside.replace(/\\(.)/gs, "$1")].sort().join("") === PUNCTUATION;
}

/** A step, or those of a sequence of them; none for null. */
function stepsOf(value: unknown, under: string): unknown[] {
  const steps: unknown[] = [];
  const waiting = [value];
  for (let seen = 0; waiting.length > 0; seen++) {
    const step = waiting.pop();
    const inside = own(step, under);
    if (seen + waiting.length > MOST_STEPS || (Array.isArray(inside) && inside.length > MOST_STEPS)) {
      throw mismatch("unsupported", "tokenizer.json", `at most ${MOST_STEPS} ${under}`, "more", "take SigLIP's own");
    }
    if (own(step, "type") === "Sequence" && Array.isArray(inside)) waiting.push(...inside.toReversed());
    else if (step !== undefined && step !== null) steps.push(step);
  }
  return steps;
}

function decodeBase64(value: unknown): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(value as string), (character) => character.charCodeAt(0));
  } catch (cause) {
    const advice = "fetch it again";
    throw mismatch("bad-checkpoint", "tokenizer.json", "precompiled_charsmap in base64", "other text", advice, cause);
  }
}

function unsupported(place: string, step: unknown): SiglipError {
  const wanted = `a ${place} that SentencePiece has, too`;
  return mismatch("unsupported", "tokenizer.json", wanted, show(step), "take SigLIP's own");
}
