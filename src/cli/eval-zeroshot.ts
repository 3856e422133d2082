import { stat } from "node:fs/promises";
import { dirname, relative, sep } from "node:path";
import type { Command } from "commander";
import { isPictureName } from "../bulk/sources/endings.ts";
import { walk } from "../bulk/sources/folder.ts";
import { CosineBlocks } from "../evaluate/cosines.ts";
import { type Classes, type Labelled, nameClasses, parseLabelled } from "../evaluate/labelled.ts";
import { zeroshotMetrics } from "../evaluate/metrics.ts";
import { Pairs } from "../evaluate/pairs.ts";
import { firstOf, noPredictions, predict } from "../evaluate/zeroshot.ts";
import { readFile } from "../node/file.ts";
import type { Siglip } from "../node.ts";
import type { Embeddings } from "../siglip/embeddings.ts";
import { DEFAULT_TEMPLATE } from "../siglip/template.ts";
import { mismatch, type SiglipError } from "../support/error.ts";
import { joinFloats } from "../support/numbers.ts";
import { addEvalOptions, checkEvalOptions, type EvalOptions } from "./eval-options.ts";
import { EvalPictures, locate } from "./eval-pictures.ts";
import { finish, type Measured } from "./eval-report.ts";
import { measureAll } from "./eval-runs.ts";
import { readLines } from "./lines.ts";
import { Progress } from "./progress.ts";

interface ZeroShotOptions extends EvalOptions {
  readonly classes?: string;
  readonly template?: readonly string[];
  readonly templates?: string;
}

/** What is asked of every model. */
interface Task {
  readonly set: EvalPictures<Labelled>;
  readonly classes: Classes;
  readonly templates: readonly string[];
}

/** A list of a million pictures is 0.1 GB. */
const LIMIT = 2 ** 29;

/** Sentences that are embedded together, beyond one class's. */
const SENTENCES = 1024;

/** `siglip eval zeroshot`: how often a picture's class is the one whose sentence fits best. */
export function addZeroShot(group: Command, signal: AbortSignal): void {
  const command = group
    .command("zeroshot")
    .description("Measure how often pictures are given their own class: top-1, top-5, by class, and what is confused.")
    .argument("<data>", "a folder with a folder of pictures for each class, or a .csv of paths and labels")
    .option(
      "--classes <file>",
      "JSON: { folder or label: name }, or a list of names in the order of the sorted folders",
    )
    .option(
      "--template <text>",
      `sentence around {label}, repeatable: several are averaged (default: "${DEFAULT_TEMPLATE}")`,
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .option("--templates <file>", "a UTF-8 file of such sentences, one a line");
  addEvalOptions(command).addHelpText(
    "after",
    `
Classes are called by their folder or label, with spaces for underscores, unless
--classes says otherwise. In brackets stand 95% intervals by the bootstrap over
pictures, and beside the first model differences to it; of equal scores the
first class is first. Pictures stream: what is held are the classes' embeddings,
and 20 bytes a picture beside its path.
With --fit a picture and its own class are a true pair, and false ones with all
other classes.

Example: siglip eval zeroshot photos/ --template "a photo of a {label}." \\
           --fit calibration.json`,
  );
  command.action(async (data: string, options: ZeroShotOptions) => {
    await checkEvalOptions(command, options);
    await evaluate(data, options, signal);
  });
}

async function evaluate(data: string, options: ZeroShotOptions, signal: AbortSignal): Promise<void> {
  const folder = (await stat(data).catch(() => undefined))?.isDirectory() ?? false;
  const pictures = folder ? await listFolder(data, signal) : parseLabelled(data, await readText(data, signal));
  const { classes: file } = options;
  const names = file === undefined ? undefined : { file, text: await readText(file, signal) };
  const classes = nameClasses(
    pictures.map(({ label }) => label),
    names,
  );
  const templates = await readTemplates(options, signal);
  const set = new EvalPictures(folder ? pictures : await locate(pictures, options.images ?? dirname(data)));
  const task = { set, classes, templates };
  const { runs, missing } = await measureAll(options, signal, (model) => measure(model, task, options, signal));
  const several = templates.length === 1 ? "" : `, ${templates.length} templates`;
  const size = `${set.pictures.length} pictures of ${classes.keys.length} classes${several}`;
  const counts = { pictures: set.pictures.length, classes: classes.keys.length, templates };
  await finish({ data, size, counts, set, missing, runs, options, classes }, signal);
}

async function readText(path: string, signal: AbortSignal): Promise<string> {
  return new TextDecoder().decode(await readFile(path, LIMIT, signal));
}

async function readTemplates(
  { template, templates }: ZeroShotOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const lines = templates === undefined ? [] : await readLines(templates, signal);
  const found = [...(template ?? []), ...lines.filter((line) => line.trim() !== "")];
  const odd = found.find((line) => !line.includes("{label}"));
  if (odd !== undefined) {
    const advice = `write it like "${DEFAULT_TEMPLATE}"`;
    throw mismatch("bad-input", templates ?? "--template", "{label} in every template", JSON.stringify(odd), advice);
  }
  return found.length > 0 ? found : [DEFAULT_TEMPLATE];
}

/** The pictures below a folder, in an order of their names; each is of the class of the first folder on its way. */
async function listFolder(folder: string, signal: AbortSignal): Promise<Labelled[]> {
  const found: Labelled[] = [];
  const accept = (path: string) => path.includes("/") && isPictureName(path);
  const report = (error: SiglipError) => {
    throw error;
  };
  for await (const image of walk(folder, { accept }, { keep: () => true, report, signal })) {
    found.push({ image, label: relative(folder, image).split(sep)[0] });
  }
  if (found.length > 0) return found;
  throw mismatch("bad-input", folder, "a folder of pictures for each class", "none", "name another, or a .csv");
}

async function measure(
  model: Siglip,
  { set, classes, templates }: Task,
  { batch, resamples, seed }: ZeroShotOptions,
  signal: AbortSignal,
): Promise<Measured> {
  const texts = await embedClasses(model, classes.names, templates, signal);
  const numbers = new Map(classes.keys.map((key, index) => [key, index]));
  const all = noPredictions(set.pictures.length);
  const pairs = new Pairs();
  const blocks = new CosineBlocks(1, texts.shape[0], model.dim);
  await set.each(model, { batch, signal }, (embedding, { label }, index) => {
    const picture = { data: embedding, shape: [1, model.dim] as const };
    const scores = blocks.fill(picture, { from: 0, to: 1 }, texts, { from: 0, to: texts.shape[0] });
    const right = numbers.get(label)!;
    predict(all, index, right, scores);
    for (const [other, score] of scores.entries()) pairs.add(score, other === right);
  });
  const predictions = firstOf(all, set.pictures.length);
  return { metrics: zeroshotMetrics(predictions, classes.keys.length, { resamples, seed }), pairs, predictions };
}

/** Every class in all templates, averaged on the sphere, some classes at a time. */
async function embedClasses(
  model: Siglip,
  names: readonly string[],
  templates: readonly string[],
  signal: AbortSignal,
): Promise<Embeddings> {
  const progress = new Progress("classes", signal, names.length);
  const step = Math.max(1, Math.floor(SENTENCES / templates.length));
  const parts: Float32Array[] = [];
  try {
    for (let from = 0; from < names.length; from += step) {
      const { texts } = await model.classifier(names.slice(from, from + step), { templates, signal });
      parts.push(texts.data);
      progress.update(Math.min(names.length, from + step), names.length);
    }
  } finally {
    progress.stop();
  }
  return { data: joinFloats(parts), shape: [names.length, model.dim] };
}
