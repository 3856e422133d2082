import type { Command } from "commander";
import type { Tower } from "../model/towers.ts";
import type { Siglip } from "../node.ts";
import type { VectorHeader } from "../search/vectors.ts";
import { mismatch } from "../support/error.ts";
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

/** Loads the model that made an index. Rejects with a SiglipError for another. */
export async function openIndexModel(
  { path, width, origin }: MadeIndex,
  options: IndexModelOptions,
  towers: readonly Tower[],
  signal: AbortSignal,
): Promise<Siglip> {
  const name = options.model ?? origin.model ?? "demo";
  const model = await openModel({ ...options, model: name }, towers, signal);
  if (model.dim === width) return model;
  model.dispose();
  const advice = "name the model that it was made with by --model";
  throw mismatch("bad-input", path, `embeddings of ${model.dim} values, as ${name} makes them`, `${width}`, advice);
}
