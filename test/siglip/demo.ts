import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Siglip } from "../../src/node.ts";
import { recall } from "../model/retrieval.ts";

/** The demo model's folder. */
export const demo = new URL("../../weights/demo/", import.meta.url);
/** One of its example pictures. */
export const example = (file: string) => new URL(`examples/${file}`, demo);

/** A picture, labels for it, and what the reference made of them. */
export interface Example {
  file: string;
  labels: string[];
  logits: number[];
  probabilities: number[];
}
/** All of them. */
export const examples: Example[] = JSON.parse(readFileSync(example("examples.json"), "utf8")).examples;

/** From the picture file and the strings to logits; a bound of 0.01 holds decode, resize, tokenizer and towers. */
export async function checkExamples(model: Siglip, which: readonly Example[]): Promise<void> {
  const images = await model.embedImages(which.map(({ file }) => example(file)));
  for (const [row, { labels, logits, probabilities }] of which.entries()) {
    const texts = await model.embedTexts(labels);
    const image = { data: images.data.slice(row * model.dim, (row + 1) * model.dim), shape: [1, model.dim] as const };
    const found = model.similarity(image, texts);
    for (const [column, logit] of logits.entries()) {
      expect(Math.abs(found.logits[column] - logit)).toBeLessThan(0.01);
      expect(Math.abs(found.probabilities[column] - probabilities[column])).toBeLessThan(0.0025);
    }
  }
}

/** A batch of so many pictures, of which some are embedded once more, alone. */
export async function aloneAsTogether(model: Siglip, count: number, alone: readonly number[]): Promise<void> {
  const files = Array.from({ length: count }, (_, index) => example(examples[index % examples.length].file));
  const together = await model.embedImages(files, { batch: count });
  for (const index of alone) {
    const { data } = await model.embedImages([files[index]]);
    const row = together.data.subarray(index * model.dim, (index + 1) * model.dim);
    expect(Math.hypot(...data.map((value, d) => value - row[d]))).toBeLessThan(1e-6);
  }
}

/** Recall at k of the 200 scenes against their captions. */
async function recalls(model: Siglip): Promise<Record<string, number>> {
  const lines = readFileSync(new URL("eval/captions.jsonl", demo), "utf8").trim().split("\n");
  const rows: { file: string; caption: string }[] = lines.map((line) => JSON.parse(line));
  const images = await model.embedImages(rows.map(({ file }) => new URL(`eval/${file}`, demo)));
  const texts = await model.embedTexts(rows.map(({ caption }) => caption));
  const { logits } = model.similarity(images, texts);
  const owner = rows.map((_, index) => index);
  const [one, five] = [recall(logits, owner, 1), recall(logits, owner, 5)];
  return {
    "image to text R@1": one.toText,
    "image to text R@5": five.toText,
    "text to image R@1": one.toImage,
    "text to image R@5": five.toImage,
  };
}

/** The demo model's retrieval set gives the reference's figures. */
export async function expectRetrieval(model: Siglip): Promise<void> {
  const reference = JSON.parse(readFileSync(new URL("eval/reference.json", demo), "utf8"));
  expect(reference).toMatchObject(await recalls(model));
}
