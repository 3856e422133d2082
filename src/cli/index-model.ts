import type { Command } from "commander";
import { readProvenance } from "../bulk/origin.ts";
import type { Tower } from "../model/towers.ts";
import type { Siglip } from "../node.ts";
import type { VectorHeader } from "../search/vectors.ts";
import { mismatch, type SiglipError, shorten } from "../support/error.ts";
import { addCacheOption, openModel, type RunOptions } from "./model.ts";

/** Options of a command that asks an index something. */
export interface IndexModelOptions extends Omit<RunOptions, "model"> {
  /** By default the one that the index was made with. */
  readonly model?: string;
}

/** An index as far as a model must fit it. */
export interface MadeIndex {
  readonly path: string;
  readonly width: number;
  /** What made it; empty where nothing is known. */
  readonly origin: VectorHeader["origin"];
}

/** Adds `--model` for questions to an index. */
export function addIndexModelOption(command: Command): Command {
  return addCacheOption(
    command.option("--model <model>", "as in siglip embed (default: the one that the index was made with, or demo)"),
  );
}

/** What tells models from each other, where it is known of both. */
const FACTS = ["revision", "weights", "config", "tokenizer", "image", "version"] as const;

/** Loads the model that made an index. Rejects with a SiglipError for another, before weights are read where that is known. */
export async function openIndexModel(
  index: MadeIndex,
  options: IndexModelOptions,
  towers: readonly Tower[],
  signal: AbortSignal,
): Promise<Siglip> {
  const { path, width, origin } = index;
  const name = options.model ?? trusted(index);
  if (FACTS.some((fact) => origin[fact] !== undefined)) {
    const found = await provenance(index, name, options, signal);
    const other = FACTS.find((fact) => fact in origin && fact in found && known(origin, fact) !== known(found, fact));
    if (other) {
      const made = origin.model === undefined || origin.model === name ? "others" : `those of ${origin.model}`;
      const wanted = `embeddings as ${name} makes them`;
      throw mismatch("bad-input", path, wanted, `${made}, of another ${other}`, `name that model by --model`);
    }
  }
  const model = await openModel({ ...options, model: name }, towers, signal);
  if (model.dim === width) return model;
  model.dispose();
  const advice = "name the model that it was made with by --model";
  throw mismatch("bad-input", path, `embeddings of ${model.dim} values, as ${name} makes them`, `${width}`, advice);
}

/** What the embeddings of a model are made by; where the index alone named it and it is gone, that is told. */
async function provenance(
  { path }: MadeIndex,
  name: string,
  { model, cache, dtype = "f16" }: IndexModelOptions,
  signal: AbortSignal,
): Promise<VectorHeader["origin"]> {
  try {
    // What is worth a warning is told when the model is loaded.
    return (await readProvenance(name, { dtype, cache, signal, onWarning() {} })).origin;
  } catch (error) {
    if (model !== undefined || (error as SiglipError).code !== "not-found") throw error;
    const advice = "name a copy of it by --model";
    throw mismatch("not-found", path, `${name}, the model that made it`, "no such model", advice, error);
  }
}

/** The model that an index names, unless that is an address: a stranger's index is not to choose who is called. */
function trusted({ path, origin }: MadeIndex): string {
  const { model = "demo" } = origin;
  if (!/^[a-z][a-z0-9+.-]+:/i.test(model)) return model;
  throw mismatch("bad-input", path, "--model, for a model from an address", "none", `give --model ${shorten(model)}`);
}

/** A fact; of preprocessing without the number of patches, which calls may choose. */
function known(origin: VectorHeader["origin"], fact: string): string {
  return fact === "image" ? origin[fact].replace(/,?"maxPatches":\d+/, "") : origin[fact];
}
