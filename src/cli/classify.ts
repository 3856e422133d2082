import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { readConfig } from "../files/read-model.ts";
import { withHeat } from "../image/heat.ts";
import { checkWritable, writeFileAtomic } from "../node/file.ts";
import { findFiles } from "../node/find.ts";
import { encodePng } from "../node/images/write-png.ts";
import { nodePlatform } from "../node/platform.ts";
import type { Siglip } from "../node.ts";
import type { Ranked } from "../siglip/classifier.ts";
import { isOfItem } from "../siglip/stream.ts";
import { DEFAULT_TEMPLATE } from "../siglip/template.ts";
import { mismatch } from "../support/error.ts";
import { addCalibrationOption } from "./calibration.ts";
import { addModelOption, addRunOptions, checkPictures, openModel, type RunOptions } from "./model.ts";
import { Progress } from "./progress.ts";
import { rankedTable } from "./table.ts";
import { print, printJson, tell } from "./terminal.ts";

interface ClassifyOptions extends RunOptions {
  /** Without them, those that the model was trained for. */
  readonly labels?: readonly string[];
  readonly template?: readonly string[];
  /** A PNG file to be written. */
  readonly heatmap?: string;
}

/** `siglip classify`: how well each label fits each picture. */
export function addClassify(program: Command, signal: AbortSignal): void {
  const command = program
    .command("classify")
    .description("Say how probable each label is for each picture.")
    .argument("[image...]", "pictures: paths or URLs")
    .option("--labels <label...>", "what may be in the pictures (default: what an image classifier was trained for)")
    .option(
      "--template <text>",
      `sentence around {label}, repeatable: several are averaged (default: "${DEFAULT_TEMPLATE}")`,
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .option("--heatmap <file>", "write the picture as PNG with heat where the most probable label is");
  addRunOptions(addModelOption(addCalibrationOption(command))).addHelpText(
    "after",
    `
Every label is judged by itself: probabilities need not sum to 1. Those of a
classifier (SiglipForImageClassification) do, unless it is one of several
labels. Probabilities that look too low are made fit by --calibration, which
siglip eval --fit writes.
With --json: [{ image, labels: [{ label, probability, logit }] }], the most
probable first. A picture that cannot be read costs the others nothing: it is
named, and the exit code is 1.

Example: siglip classify cats.jpg dogs.jpg --labels "2 cats" "a dog"
         siglip classify cats.jpg --labels "a cat" "a dog" --heatmap where.png`,
  );
  command.action(async (images: string[], options: ClassifyOptions) => {
    const { labels: words } = options;
    const labels = words && (images.length > 0 ? words : await withoutPictures(words));
    const pictures = images.length > 0 || !words ? images : words.slice(labels!.length);
    if (pictures.length === 0 || labels?.length === 0) {
      const found = pictures.length === 0 ? "none" : "pictures alone";
      command.error(`error: wanted pictures and labels, found ${found}; name the pictures first, or after --`);
    }
    if (options.heatmap !== undefined && (pictures.length > 1 || !labels)) {
      command.error("error: wanted one picture and --labels for --heatmap, found others; name a picture and labels");
    }
    if (options.heatmap !== undefined) await checkWritable(options.heatmap);
    await checkPictures(pictures);
    if (!labels && !(await hasLabels(options, signal))) {
      command.error(
        "error: wanted --labels, found none, and a model without labels of its own; say what may be in the pictures",
      );
    }
    const model = await openModel(options, labels ? ["image", "text"] : ["image"], signal);
    try {
      await classify(model, pictures, { ...options, labels }, signal);
    } finally {
      model.dispose();
    }
  });
}

/**
 * The labels in front of the pictures, where `--labels` came first and took them all: what stands last and is a file, or
 * a URL, is a picture.
 */
async function withoutPictures(words: readonly string[]): Promise<string[]> {
  const labels = [...words];
  while (labels.length > 0 && (await isPicture(labels[labels.length - 1]))) labels.pop();
  return labels;
}

async function isPicture(word: string): Promise<boolean> {
  if (/^https?:/i.test(word)) return true;
  return stat(word).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Whether a model has labels of its own, which its weights need not be fetched for. */
async function hasLabels({ model, cache }: ClassifyOptions, signal: AbortSignal): Promise<boolean> {
  const files = await findFiles(model, { onWarning: tell, cache });
  try {
    return (await readConfig(files, undefined, signal)).classes !== undefined;
  } finally {
    await files.close();
  }
}

async function classify(
  model: Siglip,
  images: readonly string[],
  { labels, template, json, heatmap, maxPixels }: ClassifyOptions,
  signal: AbortSignal,
): Promise<void> {
  const progress = new Progress("classifying", signal);
  try {
    const classifier = labels && (await model.classifier(labels, { templates: template, signal }));
    const results: { image: string; labels: Ranked[] }[] = [];
    for (const [done, image] of images.entries()) {
      progress.update(done, images.length);
      let ranked: Ranked[];
      try {
        ranked = await (classifier?.classify(image, { signal }) ?? model.classify(image, undefined, { signal }));
      } catch (error) {
        if (images.length === 1 || !isOfItem(error)) throw error;
        progress.pause();
        tell(error.message);
        continue;
      }
      results.push({ image, labels: ranked });
      if (json) continue;
      progress.pause();
      print(`${results.length > 1 ? "\n" : ""}${rankedTable(image, ranked)}`);
    }
    if (heatmap !== undefined) {
      const pixels = await nodePlatform.decode(images[0], { maxPixels, signal });
      const [map] = await model.locate(pixels, results[0].labels[0].label, { templates: template, signal });
      await writeFileAtomic(heatmap, [encodePng(withHeat(pixels, map))], signal);
    }
    progress.stop();
    if (json) printJson(results);
    if (results.length < images.length) {
      const wanted = `${images.length} pictures that can be read`;
      throw mismatch("bad-input", "classify", wanted, `${results.length}`, "mend those named above or leave them out");
    }
  } finally {
    progress.stop();
  }
}
