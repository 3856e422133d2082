import { mismatch } from "../support/error.ts";
import { type AddedToken, AddedTokens, readAddedTokens } from "../tokenizer/added-tokens.ts";
import { own } from "../tokenizer/json.ts";
import type { ModelProto } from "../tokenizer/model.ts";
import { readTokenizerJson } from "../tokenizer/tokenizer-json.ts";

/** A model of which the tokenizer is looked for. */
export interface TokenizerSearch {
  /** The model's name, for errors. */
  readonly name: string;
  /** Rows of the token table. */
  readonly vocabulary: number;
  /** Pieces of the `.model` file; undefined where there is none. */
  readonly pieces?: number;
  /** The parsed JSON of a file; undefined where there is none of that name. */
  readonly read: (file: string) => Promise<unknown>;
  readonly onWarning?: (message: string) => void;
}

/** What a model has beside a `.model` file, or in place of it. */
export interface RareTokenizer {
  /** What tokenizer.json says; undefined where there is a `.model` file. */
  readonly model?: ModelProto;
  /** Undefined where there are none. */
  readonly added?: AddedTokens;
}

/**
 * What most models do not need: the tokenizer of one that has tokenizer.json and no `.model` file, and the added tokens
 * of one whose `.model` has fewer pieces than the token table has rows. For these tokenizer_config.json is read, and
 * added_tokens.json where that lists none. Rows that no id reaches are warned of; ids that have no row are a
 * SiglipError.
 */
export async function readRareTokenizer(search: TokenizerSearch): Promise<RareTokenizer> {
  const { name, vocabulary, pieces } = search;
  const json = pieces === undefined ? await readJson(search) : undefined;
  const size = pieces ?? json!.model.pieces.length;
  const tokens = json?.added ?? (size < vocabulary ? await addedBeside(search, size) : []);
  const ids = tokens.reduce((most, { id }) => Math.max(most, id + 1), size);
  if (ids > vocabulary) {
    const wanted = `a tokenizer of at most ${vocabulary} ids, the rows of its token table by config.json`;
    throw mismatch("bad-checkpoint", name, wanted, `${ids}`, "take the tokenizer that belongs to the weights");
  }
  if (ids < vocabulary) {
    search.onWarning?.(`${name}: found ${vocabulary} rows in the token table for ${ids} ids of the tokenizer.`);
  }
  const added = tokens.length > 0 ? new AddedTokens(tokens, json?.prefixed ?? false) : undefined;
  return { model: json?.model, added };
}

async function readJson({ name, read }: TokenizerSearch) {
  const json = await read("tokenizer.json");
  if (json !== undefined) return readTokenizerJson(json);
  const wanted = "spiece.model, tokenizer.model or tokenizer.json for the text tower";
  throw mismatch("bad-checkpoint", name, wanted, "none", 'fetch it or load with towers: ["image"]');
}

/** The tokens beyond a `.model`'s pieces that the files beside it list. */
async function addedBeside({ read }: TokenizerSearch, pieces: number): Promise<AddedToken[]> {
  const beyond = (file: string, tokens: unknown) =>
    readAddedTokens(file, tokens ?? {}).filter(({ id }) => id >= pieces);
  const config = "tokenizer_config.json";
  const listed = beyond(config, own(await read(config), "added_tokens_decoder"));
  const legacy = "added_tokens.json";
  return listed.length > 0 ? listed : beyond(legacy, await read(legacy));
}
