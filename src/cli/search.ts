import type { Command } from "commander";
import { type Hit, type Siglip, VectorIndex } from "../node.ts";
import { normalise } from "../siglip/embeddings.ts";
import { mismatch } from "../support/error.ts";
import { addModelOption, addRunOptions, checkPictures, openModel, parseCount, type RunOptions } from "./model.ts";
import { aligned } from "./table.ts";
import { plain, print, printJson } from "./terminal.ts";

interface SearchOptions extends RunOptions {
  readonly image?: string;
  readonly not?: readonly string[];
  readonly k: number;
}

/** What is sought, and what is not. */
interface Query {
  readonly text?: string;
  readonly image?: string;
  readonly not: readonly string[];
}

/** `siglip search`: the pictures of an index that are nearest to a text, a picture, or both. */
export function addSearch(program: Command, signal: AbortSignal): void {
  const command = program
    .command("search")
    .description("Find the pictures of an index that are nearest to a text, to a picture, or to both.")
    .argument("<index>", "a .safetensors file that siglip embed wrote with the same model")
    .argument("[text]", "what is to be seen")
    .option("--image <picture>", "a path or URL of a picture to be like")
    .option("--not <text>", "what is not to be seen; repeatable", (text: string, before: readonly string[] = []) => [
      ...before,
      text,
    ])
    .option("-k <n>", "how many to show", parseCount, 10);
  addRunOptions(addModelOption(command)).addHelpText(
    "after",
    `
All embeddings are compared: none that is nearer is missed. Scores are cosines; of several
wishes their directions are added, and those of --not taken away. With --json:
[{ index, score, name }], the nearest first.

Example: siglip search photos.safetensors "a red bicycle" --not "a street" -k 20`,
  );
  command.action((path: string, text: string | undefined, options: SearchOptions) => {
    if (text === undefined && options.image === undefined) {
      command.error("error: wanted a text or --image to search for, found neither");
    }
    return search(path, { text, image: options.image, not: options.not ?? [] }, options, signal);
  });
}

async function search(path: string, query: Query, options: SearchOptions, signal: AbortSignal): Promise<void> {
  if (query.image !== undefined) await checkPictures([query.image]);
  using index = await VectorIndex.load(path, { threads: options.threads, signal });
  const texts = query.text !== undefined || query.not.length > 0;
  const towers = [...(query.image === undefined ? [] : ["image" as const]), ...(texts ? ["text" as const] : [])];
  const model = await openModel(options, towers, signal);
  let wanted: Float32Array;
  try {
    if (model.dim !== index.width) {
      const advice = "name the model that it was made with by --model";
      throw mismatch("bad-input", path, `embeddings of ${model.dim} values`, `${index.width}`, advice);
    }
    wanted = await embed(model, query, signal);
  } finally {
    model.dispose();
  }
  const hits = await index.search(wanted, { most: options.k, signal });
  if (options.json) printJson(hits);
  else print(aligned(hits.map(row)));
}

function row({ index, score, name }: Hit): string[] {
  return [score.toFixed(3), plain(name ?? `${index}`)];
}

/** The sum of what is wanted less what is not, of length 1. */
async function embed(model: Siglip, { text, image, not }: Query, signal: AbortSignal): Promise<Float32Array> {
  const sum = new Float32Array(model.dim);
  const add = ({ data }: { readonly data: Float32Array }, sign: number) => {
    for (let i = 0; i < data.length; i++) sum[i % model.dim] += sign * data[i];
  };
  if (image !== undefined) add(await model.embedImages([image], { signal }), 1);
  if (text !== undefined) add(await model.embedTexts([text], { signal }), 1);
  if (not.length > 0) add(await model.embedTexts(not, { signal }), -1);
  if (sum.every((value) => value === 0)) {
    throw mismatch("bad-input", "--not", "less than all that is sought", "all of it", "leave out what it shares");
  }
  normalise(sum, model.dim);
  return sum;
}
