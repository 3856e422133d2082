import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { checkWritable, writeFileAtomic } from "../node/file.ts";
import { DEFAULT_TEMPLATE } from "../siglip/template.ts";
import { mismatch, SiglipError } from "../support/error.ts";
import { Archives, archiveOf } from "./archived.ts";
import { addCalibrationOption } from "./calibration.ts";
import { copyBytes, copyPicture, makeFolder } from "./copy-picture.ts";
import { csvLine } from "./csv.ts";
import { encoded } from "./encoded.ts";
import { folderNames } from "./folder-names.ts";
import { addIndexModelOption, type IndexModelOptions, openIndexModel } from "./index-model.ts";
import { type IndexPictures, openPictures } from "./index-pictures.ts";
import { type Labelled, label } from "./labelled.ts";
import { addRunOptions } from "./model.ts";
import { Progress } from "./progress.ts";
import { aligned } from "./table.ts";
import { harmless, plain, print, printData, printJson, tell } from "./terminal.ts";

interface SortOptions extends IndexModelOptions {
  readonly labels: readonly string[];
  readonly template?: readonly string[];
  readonly out?: string;
  readonly copyTo?: string;
  readonly above: number;
}

/** Failures that are told one by one. */
const TOLD = 20;

/** `siglip sort`: how probable each label is for each picture of an index, and copies of them by label. */
export function addSort(program: Command, signal: AbortSignal): void {
  const command = program
    .command("sort")
    .description("Say how probable each label is for each picture of an index, and copy them into folders by label.")
    .argument("<index>", "a file that siglip embed wrote")
    .requiredOption("--labels <label...>", "what may be in the pictures")
    .option(
      "--template <text>",
      `sentence around {label}, repeatable: several are averaged (default: "${DEFAULT_TEMPLATE}")`,
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .option("--out <file>", "a CSV file to be written (default: printed, unless pictures are copied)")
    .option("--copy-to <folder>", "copy each picture into the folder of its most probable label in this one")
    .option("--above <probability>", "below this a picture has no label", parseProbability, 0);
  addRunOptions(addIndexModelOption(addCalibrationOption(command))).addHelpText(
    "after",
    `
The pictures are not looked at again: their embeddings are compared with the
labels'. Every label is judged by itself, as by siglip classify. The CSV has a
line for each picture: name, the most probable label, and the probability of
each. In it, a text that a spreadsheet would calculate begins with an
apostrophe. Copies replace nothing: beside another picture of its name one has a
number, and the same is not copied twice, so that a run goes on where an earlier
one ended.
With --json: a summary, or without --out and --copy-to a line of JSON for each
picture.

Example: siglip sort photos.safetensors --labels "a cat" "a dog" \\
           --copy-to sorted --above 0.5`,
  );
  command.action((path: string, options: SortOptions) => sort(path, options, signal));
}

function parseProbability(text: string): number {
  const probability = Number(text);
  if (text.trim() !== "" && probability >= 0 && probability <= 1) return probability;
  throw new InvalidArgumentError("Wanted a number from 0 to 1.");
}

async function sort(path: string, options: SortOptions, signal: AbortSignal): Promise<void> {
  const { out } = options;
  if (out !== undefined) await checkWritable(out);
  const index = await openPictures(path, signal);
  try {
    await sortPictures(path, index, options, signal);
  } finally {
    await index.close();
  }
}

async function sortPictures(path: string, index: IndexPictures, options: SortOptions, signal: AbortSignal) {
  const { labels, template, out, copyTo, above, json } = options;
  const { width, origin, counts: held } = index.header;
  const model = await openIndexModel({ path, width, origin }, options, ["text"], signal);
  const progress = new Progress("sorting", signal);
  const copies = copyTo === undefined ? undefined : new Copies(copyTo, labels, progress);
  const counts = labels.map(() => 0);
  let done = 0;
  try {
    const classifier = await model.classifier(labels, { templates: template, signal });
    const results = label(index.read(signal), model, classifier, above);
    const each = async function* () {
      for await (const result of results) {
        progress.update(done++, held.image);
        if (result.best !== undefined) {
          counts[result.best]++;
          await copies?.add(result.name, result.best, signal);
        }
        yield result;
      }
    };
    if (out !== undefined) await writeFileAtomic(out, encoded(csv(labels, each())), signal);
    else if (copies) for await (const _ of each());
    else {
      progress.stop();
      for await (const line of json ? jsonLines(labels, each()) : csv(labels, each())) await printData(line);
    }
  } finally {
    progress.stop();
    model.dispose();
  }
  if (out !== undefined || copies) {
    const found = labels.map((name, at) => ({ label: name, images: counts[at], folder: copies?.folders[at] }));
    const summary = { out, images: done, labels: found, copied: copies?.copied, there: copies?.there };
    if (json) printJson(summary);
    else print(aligned([...found.map(row), ["none of them", `${done - counts.reduce((sum, one) => sum + one)}`]]));
  }
  await copies?.end();
}

const row = ({ label, images, folder }: { label: string; images: number; folder?: string }) => [
  plain(label),
  `${images}`,
  folder === undefined ? "" : plain(folder),
];

/** Copies of pictures in folders by label. */
class Copies {
  /** Of each label. */
  readonly folders: readonly string[];
  copied = 0;
  /** How many were there already. */
  there = 0;
  private failed = 0;
  private readonly archives = new Archives();
  private readonly parent: string;
  private readonly names: readonly string[];
  private readonly made = new Map<number, string>();
  private readonly progress: Progress;

  constructor(parent: string, labels: readonly string[], progress: Progress) {
    this.parent = parent;
    this.names = folderNames(labels);
    this.folders = this.names.map((name) => join(parent, name));
    this.progress = progress;
  }

  /** Copies one; what is wrong with it alone is told and costs the others nothing. */
  async add(path: string, label: number, signal: AbortSignal): Promise<void> {
    let folder = this.made.get(label);
    if (folder === undefined) {
      folder = await makeFolder(this.parent, this.names[label]);
      this.made.set(label, folder);
    }
    try {
      const archive = await archiveOf(path);
      const file = archive && (await this.archives.load(archive, path, signal));
      const copied = file
        ? await copyBytes(path, new Uint8Array(await file.arrayBuffer()), folder, signal)
        : await copyPicture(path, folder, signal);
      if (copied) this.copied++;
      else this.there++;
    } catch (error) {
      // A full disk would fail all that follow.
      const own = error instanceof SiglipError && !(error.code === "storage" && error.message.startsWith(folder));
      if (!own) throw error;
      this.progress.pause();
      if (++this.failed <= TOLD) tell(error.message);
    }
  }

  /** Rejects where some could not be copied. */
  async end(): Promise<void> {
    await this.archives.close();
    if (this.failed === 0) return;
    const sound = this.copied + this.there;
    const more = this.failed > TOLD ? `, and ${this.failed - TOLD} more,` : "";
    const found = `${sound}, for those named above${more} cannot be copied`;
    const advice = "mend these, and a further run copies them";
    throw mismatch("bad-input", this.parent, `copies of all ${sound + this.failed}`, found, advice);
  }
}

async function* csv(labels: readonly string[], results: AsyncIterable<Labelled>): AsyncGenerator<string> {
  yield csvLine(["name", "label", ...labels]);
  for await (const { name, best, probabilities } of results) {
    yield csvLine([name, best === undefined ? "" : labels[best], ...probabilities.map(shortened)]);
  }
}

async function* jsonLines(labels: readonly string[], results: AsyncIterable<Labelled>): AsyncGenerator<string> {
  for await (const { name, best, probabilities } of results) {
    const each = labels.map((label, at) => ({ label, probability: shortened(probabilities[at]) }));
    yield `${harmless(JSON.stringify({ name, label: best === undefined ? null : labels[best], labels: each }))}\n`;
  }
}

/** Six digits: float32 has hardly more. */
function shortened(probability: number): number {
  return Number(probability.toPrecision(6));
}
