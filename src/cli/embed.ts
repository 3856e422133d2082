import { type Command, InvalidArgumentError } from "commander";
import { Failures } from "../bulk/failures.ts";
import type { EmbedOutcome } from "../bulk/run.ts";
import { type AskedShard, parseShard } from "../bulk/shard.ts";
import { ENDINGS } from "../node/formats/formats.ts";
import type { Kind, VectorDType } from "../search/vectors.ts";
import { SiglipError } from "../support/error.ts";
import { embedLines } from "./embed-filter.ts";
import { EmbedModels, type ModelOptions } from "./embed-models.ts";
import { reportEmbedding, tellFailures } from "./embed-report.ts";
import { embedSources } from "./embed-sources.ts";
import { readLines } from "./lines.ts";
import { addModelOption, addRunOptions, parseCount } from "./model.ts";
import { Progress } from "./progress.ts";
import { parseVectorFile, parseVectors, type VectorFile } from "./vector-file.ts";

interface EmbedOptions extends ModelOptions {
  readonly text?: readonly string[];
  readonly texts?: string;
  /** "-" is the filter. */
  readonly out: "-" | VectorFile;
  readonly vectors?: VectorDType;
  readonly shard?: AskedShard;
  readonly overwrite?: boolean;
}

/** `siglip embed`: vectors of pictures and texts into a file. */
export function addEmbed(program: Command, signal: AbortSignal): void {
  const command = program
    .command("embed")
    .description("Write the embeddings of pictures and texts, vectors of length 1, into a file.")
    .argument(
      "[source...]",
      "folders, patterns, pictures (paths, URLs), .tar, .jsonl or .txt of texts; - is a list on stdin",
    )
    .option("--text <string>", "a text; repeatable", (text: string, before: readonly string[] = []) => [
      ...before,
      text,
    ])
    .option("--texts <file>", "a UTF-8 file of texts, one a line, after those of --text; - is stdin")
    .requiredOption("--out <file>", `a name that ends in ${ENDINGS.join(", ")}`, parseOut)
    .option(
      "--vectors <dtype>",
      "how they are stored: f32, f16, or int8 with a scale each (default: f32)",
      parseVectors,
    )
    .option("--shard <i/n>", "only the part i, from 0, of n; auto: as Slurm or Kubernetes says", parseShardOption)
    .option("--batch <n>", "how many go through a tower together (default: what suits the backend)", parseCount)
    .option("--max-patches <n>", "of NaFlex models: the most patches of a picture", parseCount)
    .option("--overwrite", "begin anew where the file holds embeddings of another model, or something else");
  addRunOptions(addModelOption(command)).addHelpText(
    "after",
    `
A row for each picture or text in the order given, with its name and what made
it. What is made is kept in FILE.part until the file is put in place as a whole:
a command that was interrupted, at whatever moment, goes on when it is given
again. Where the file is there already only new and changed pictures are
embedded, and those that are gone are dropped. A picture that cannot be read
costs the others nothing: it is named, the exit code is 1, and the next run
tries it again. --json prints a summary.

With - and --out -, a filter: paths, URLs or lines of JSON, { "image": … } or
{ "text": … } with an "id" or without, on stdin; for each, in order, a line
{ id or name, embedding } or { id or name, error } on stdout, as soon as it is
made.

Examples: siglip embed photos/ --out photos.safetensors
          siglip embed *.jpg --texts captions.txt --vectors f16 --out both.jsonl`,
  );
  command.action((words: string[], options: EmbedOptions) => {
    const texts = options.text !== undefined || options.texts !== undefined;
    if (words.length === 0 && !texts) command.error("error: wanted pictures, --text or --texts, found none of them");
    if (words.some(isPictures) && texts && options.out !== "-" && options.out.format.ending === ".npy") {
      command.error("error: wanted pictures or texts for .npy, found both; write two files, or .safetensors or .jsonl");
    }
    if (words.includes("-") && options.texts === "-") command.error("error: wanted one list on stdin, found two");
    const { out } = options;
    if (out !== "-") return embed(words, options, out, signal);
    const others = [options.vectors, options.shard, options.overwrite, options.json].some((one) => one !== undefined);
    if (words.join() !== "-" || texts || others) {
      command.error("error: wanted - alone, and no option of files, with --out -; see what it does in --help");
    }
    return filterLines(options, signal);
  });
}

function parseOut(path: string): EmbedOptions["out"] {
  return path === "-" ? "-" : parseVectorFile(path);
}

function parseShardOption(text: string): AskedShard {
  try {
    return parseShard(text);
  } catch (error) {
    throw error instanceof SiglipError ? new InvalidArgumentError(error.message) : error;
  }
}

async function filterLines(options: EmbedOptions, signal: AbortSignal): Promise<void> {
  const models = new EmbedModels(options, [], signal);
  try {
    await embedLines(models, signal);
  } finally {
    models.dispose();
  }
}

async function embed(
  words: readonly string[],
  options: EmbedOptions,
  out: Exclude<EmbedOptions["out"], "-">,
  signal: AbortSignal,
): Promise<void> {
  const { vectors = "f32", overwrite } = options;
  const began = performance.now();
  const lines = options.texts === undefined ? [] : await readLines(options.texts, signal);
  const problems = new Failures();
  const texts = [...(options.text ?? []), ...lines];
  const kinds: Kind[] = words.some(isPictures) && texts.length > 0 ? ["image", "text"] : [];
  const models = new EmbedModels(options, kinds, signal);
  let progress: Progress | undefined;
  models.onLoading = () => progress?.pause();
  const rate = new Rate();
  let outcome: EmbedOutcome;
  try {
    outcome = await embedSources({
      ...{ words, texts, shard: options.shard, models, out, vectors, overwrite, problems, signal },
      onProgress(done, made, total) {
        if (models.loading) return;
        progress ??= new Progress(words.length > 0 ? "images" : "texts", signal);
        progress.update(done, total, rate.at(made));
      },
    });
  } finally {
    progress?.stop();
    models.dispose();
  }
  const seconds = (performance.now() - began) / 1000;
  const { width } = await models.provenance();
  const report = { ...outcome, path: out.path, model: options.model, dim: width, device: models.device, seconds };
  reportEmbedding(report, outcome.failures.count + problems.count, options.json);
  tellFailures(out.path, outcome, problems);
}

/** Whether a word names pictures, and not a list of whatever. */
function isPictures(word: string): boolean {
  return word !== "-" && !/\.(txt|jsonl)$/i.test(word);
}

/** How many a second, since the first of them. */
class Rate {
  private first: { readonly made: number; readonly time: number } | undefined;

  at(made: number): number {
    const time = performance.now();
    if (made > 0) this.first ??= { made, time };
    if (!this.first || made === this.first.made) return 0;
    return ((made - this.first.made) * 1000) / (time - this.first.time);
  }
}
