import { parseJson } from "../model/config.ts";
import { mismatch } from "../support/error.ts";
import type { LoadProgress } from "../support/progress.ts";
import { type AddedToken, AddedTokens, readAddedTokens } from "../tokenizer/added-tokens.ts";
import { own } from "../tokenizer/json.ts";
import { SentencePiece } from "../tokenizer/sentencepiece.ts";
import { readTokenizerJson } from "../tokenizer/tokenizer-json.ts";
import type { ModelFiles } from "./model-files.ts";
import { readAll, readJson, TOKENIZER_LIMIT } from "./read-model.ts";

/** How a tokenizer's files are read. */
export interface TokenizerReading {
  /** Rows of the token table. */
  readonly vocabulary: number;
  readonly onWarning?: (message: string) => void;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** A tokenizer, and the tokens that were added to its pieces. */
export interface FoundTokenizer {
  readonly model: SentencePiece;
  /** Undefined where there are none. */
  readonly added?: AddedTokens;
}

/**
 * What most models do not need: the tokenizer of a model that has no `.model` file but a tokenizer.json, and the added
 * tokens of one whose `.model` (already read: `model`) has fewer pieces than the token table has rows. Of these,
 * tokenizer_config.json is read, and added_tokens.json where that lists none. Rows that no id reaches are warned of;
 * ids that have no row are a SiglipError.
 */
export async function readRareTokenizer(
  files: ModelFiles,
  model: SentencePiece | undefined,
  { vocabulary, onWarning, signal, onProgress }: TokenizerReading,
): Promise<FoundTokenizer> {
  const found = model
    ? { model, added: model.size < vocabulary ? await addedBeside(files, model, signal) : [], prefixed: false }
    : await fromJson(files, signal, onProgress);
  const ids = found.added.reduce((most, { id }) => Math.max(most, id + 1), found.model.size);
  if (ids > vocabulary) {
    const wanted = `a tokenizer of at most ${vocabulary} ids, the rows of its token table by config.json`;
    throw mismatch("bad-checkpoint", files.name, wanted, `${ids}`, "take the tokenizer that belongs to the weights");
  }
  if (ids < vocabulary) {
    onWarning?.(`${files.name}: found ${vocabulary} rows in the token table for ${ids} ids of the tokenizer.`);
  }
  const { added, prefixed } = found;
  return { model: found.model, added: added.length > 0 ? new AddedTokens(added, prefixed) : undefined };
}

interface Found {
  readonly model: SentencePiece;
  readonly added: readonly AddedToken[];
  readonly prefixed: boolean;
}

/** The tokenizer that tokenizer.json describes. */
async function fromJson(
  files: ModelFiles,
  signal?: AbortSignal,
  onProgress?: (progress: LoadProgress) => void,
): Promise<Found> {
  const source = await files.open("tokenizer.json", signal);
  if (!source) {
    const wanted = "spiece.model, tokenizer.model or tokenizer.json for the text tower";
    throw mismatch("bad-checkpoint", files.name, wanted, "none", 'fetch it or load with towers: ["image"]');
  }
  const bytes = await readAll(source, TOKENIZER_LIMIT, signal, onProgress);
  const { model, added, prefixed } = readTokenizerJson(parseJson(bytes, source.name, TOKENIZER_LIMIT));
  return { model: new SentencePiece(model), added, prefixed };
}

/** The tokens beyond a `.model`'s pieces that the files beside it list. */
async function addedBeside(files: ModelFiles, { size }: SentencePiece, signal?: AbortSignal): Promise<AddedToken[]> {
  const beyond = async (file: string, pick: (json: unknown) => unknown) =>
    readAddedTokens(file, pick((await readJson(files, file, signal)) ?? {}) ?? {}).filter(({ id }) => id >= size);
  const listed = await beyond("tokenizer_config.json", (json) => own(json, "added_tokens_decoder"));
  return listed.length > 0 ? listed : beyond("added_tokens.json", (json) => json);
}
