import { stat } from "node:fs/promises";
import type { Command } from "commander";
import type { Ranked } from "../siglip/classifier.ts";
import { DEFAULT_TEMPLATE } from "../siglip/template.ts";
import { addModelOption, addRunOptions, checkPictures, openModel, type RunOptions } from "./model.ts";
import { Progress } from "./progress.ts";
import { rankedTable } from "./table.ts";
import { print, printJson } from "./terminal.ts";

interface ClassifyOptions extends RunOptions {
  readonly labels: readonly string[];
  readonly template?: readonly string[];
}

/** `siglip classify`: how well each label fits each picture. */
export function addClassify(program: Command, signal: AbortSignal): void {
  const command = program
    .command("classify")
    .description("Say how probable each label is for each picture.")
    .argument("[image...]", "PNG or JPEG pictures: paths or URLs")
    .requiredOption("--labels <label...>", "what may be in the pictures")
    .option(
      "--template <text>",
      `sentence around {label}, repeatable: several are averaged (default: "${DEFAULT_TEMPLATE}")`,
      (text: string, before: readonly string[] = []) => [...before, text],
    );
  addRunOptions(addModelOption(command)).addHelpText(
    "after",
    `
Every label is judged by itself: probabilities need not sum to 1. With --json:
[{ image, labels: [{ label, probability, logit }] }], the most probable first.

Example: siglip classify cats.jpg dogs.jpg --labels "2 cats" "a dog"`,
  );
  command.action(async (images: string[], options: ClassifyOptions) => {
    const labels = images.length > 0 ? options.labels : await withoutPictures(options.labels);
    const pictures = images.length > 0 ? images : options.labels.slice(labels.length);
    if (pictures.length === 0 || labels.length === 0) {
      const found = pictures.length === 0 ? "none" : "pictures alone";
      command.error(`error: wanted pictures and labels, found ${found}; name the pictures first, or after --`);
    }
    await classify(pictures, { ...options, labels }, signal);
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

async function classify(images: readonly string[], options: ClassifyOptions, signal: AbortSignal): Promise<void> {
  await checkPictures(images);
  const model = await openModel(options, ["image", "text"], signal);
  const progress = new Progress("classifying", signal);
  try {
    const labels = await model.classifier(options.labels, { templates: options.template, signal });
    const results: { image: string; labels: Ranked[] }[] = [];
    for (const [done, image] of images.entries()) {
      progress.update(done, images.length);
      const ranked = await labels.classify(image, { signal });
      results.push({ image, labels: ranked });
      if (options.json) continue;
      progress.pause();
      print(`${done > 0 ? "\n" : ""}${rankedTable(image, ranked)}`);
    }
    progress.stop();
    if (options.json) printJson(results);
  } finally {
    progress.stop();
    model.dispose();
  }
}
