import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { checkWritable, writeFileAtomic } from "../node/file.ts";
import type { Hit, Siglip } from "../node.ts";
import { normalise } from "../siglip/embeddings.ts";
import { mismatch } from "../support/error.ts";
import { contactSheet } from "./contact-sheet.ts";
import { encoded } from "./encoded.ts";
import { addIndexModelOption, type IndexModelOptions, openIndexModel } from "./index-model.ts";
import { addRunOptions, checkPictures, parseCount } from "./model.ts";
import { openSearchIndex } from "./open-index.ts";
import { openPage } from "./open-page.ts";
import { aligned } from "./table.ts";
import { plain, print, printJson, tell } from "./terminal.ts";

interface SearchOptions extends IndexModelOptions {
  readonly image?: string;
  readonly not?: readonly string[];
  readonly k: number;
  /** A file for the sheet, or true for a temporary one. */
  readonly open?: string | true;
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
    .argument("<index>", "a file that siglip embed wrote")
    .argument("[text]", "what is to be seen")
    .option("--image <picture>", "a path or URL of a picture to be like")
    .option("--not <text>", "what is not to be seen; repeatable", (text: string, before: readonly string[] = []) => [
      ...before,
      text,
    ])
    .option("-k <n>", "how many to show", parseCount, 10)
    .option(
      "--open [sheet.html]",
      "show them in the browser, on a page written there or into a temporary file",
      parseSheet,
    );
  addRunOptions(addIndexModelOption(command)).addHelpText(
    "after",
    `
All embeddings are compared: none that is nearer is missed, but by the index of
a .lance table (siglip index), which finds nearly all. Scores are cosines; of
several wishes their directions are added, and those of --not taken away. The
page of --open is one file with small pictures in it.
With --json: [{ index, score, name }], the nearest first.

Example: siglip search photos.safetensors "a red bicycle" --not "a street" \\
           -k 20 --open`,
  );
  command.action((path: string, text: string | undefined, options: SearchOptions) => {
    if (text === undefined && options.image === undefined) {
      command.error("error: wanted a text or --image to search for, found neither");
    }
    // What a script's unset variable leaves; the model has an embedding of it, which means nothing to anybody.
    if ([text, ...(options.not ?? [])].some((one) => one?.trim() === "")) {
      command.error("error: wanted a text to search for, found an empty one; say what is to be seen, or leave it out");
    }
    return search(path, { text, image: options.image, not: options.not ?? [] }, options, signal);
  });
}

function parseSheet(name: string): string {
  if (/\.html?$/i.test(name)) return name;
  throw new InvalidArgumentError("Wanted a name that ends in .html; name what is sought before --open.");
}

async function search(path: string, query: Query, options: SearchOptions, signal: AbortSignal): Promise<void> {
  const { open, json } = options;
  if (query.image !== undefined) await checkPictures([query.image]);
  if (typeof open === "string") await checkWritable(open);
  using index = await openSearchIndex(path, { threads: options.threads, signal });
  const texts = query.text !== undefined || query.not.length > 0;
  const towers = [...(query.image === undefined ? [] : ["image" as const]), ...(texts ? ["text" as const] : [])];
  const { width, origin } = index;
  const model = await openIndexModel({ path, width, origin }, options, towers, signal);
  let wanted: Float32Array;
  try {
    wanted = await embed(model, query, signal);
  } finally {
    model.dispose();
  }
  const hits = await index.search(wanted, { most: options.k, signal });
  if (json) printJson(hits);
  else print(aligned(hits.map(row)));
  if (open !== undefined) await openSheet(hits, `of ${index.size} in ${path}`, query, options, signal);
}

/** Writes a page with what was found, and shows it where there is something to show it on. */
async function openSheet(
  hits: readonly Hit[],
  among: string,
  query: Query,
  { open, maxPixels }: SearchOptions,
  signal: AbortSignal,
): Promise<void> {
  const file = typeof open === "string" ? open : join(await mkdtemp(join(tmpdir(), "siglip-")), "search.html");
  const words = [query.text, query.image && `like ${basename(query.image)}`, ...query.not.map((one) => `not ${one}`)];
  const shown = hits.map(({ index, score, name }) => ({ name: name ?? `${index}`, note: score.toFixed(3) }));
  const title = words.filter((word) => word !== undefined).join(", ");
  const subtitle = `The nearest ${hits.length} ${among}`;
  await writeFileAtomic(file, encoded(contactSheet(title, subtitle, shown, { maxPixels, signal })), signal);
  const opened = await openPage(file);
  tell(opened ? `${file} is shown in the browser.` : `${file}: open it in a browser, for there is no display here.`);
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
