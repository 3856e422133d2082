import type { Siglip } from "../../index.ts";
import type { VectorHeader } from "../../search/vectors.ts";
import { mismatch } from "../../support/error.ts";
import type { ModelSource } from "./remote.ts";

type Origin = VectorHeader["origin"];

/** What a file of embeddings says of the model that made them: what is loaded from disk has no name that others know. */
export function originOf(source: ModelSource, { config, device, version }: Siglip): Origin {
  return {
    ...(typeof source === "string" && { model: source }),
    ...(version !== undefined && { revision: version }),
    dtype: device.dtype,
    image: JSON.stringify(config.image),
  };
}

/** How each is called in a sentence. */
const WORDS: Readonly<Record<string, string>> = { model: "model", revision: "revision", dtype: "precision" };

/** Throws a SiglipError where a file's embeddings were made by another model than is in use, as far as both are known. */
export function checkOrigin(file: string, found: Origin, used: Origin): void {
  const name = Object.keys(used).find((key) => found[key] !== undefined && found[key] !== used[key]);
  if (name === undefined) return;
  const advice = "load the model that made them";
  const word = WORDS[name];
  if (word) throw mismatch("bad-input", file, `embeddings by ${word} ${used[name]}`, `${found[name]}`, advice);
  throw mismatch("bad-input", file, "pictures prepared as for the model in use", "others", advice);
}
