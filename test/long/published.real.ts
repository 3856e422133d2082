import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect } from "vitest";
import { writeFileAtomic } from "../../src/node/file.ts";
import { Siglip } from "../../src/node.ts";
import { tallied } from "../harness/cases.ts";
import { borrowedImages } from "../harness/pictures.ts";
import { recall } from "../model/retrieval.ts";

// `npm run test:published`: real checkpoints against numbers that others published. Models are taken from the folder that
// SIGLIP_MODELS names (one folder each, `siglip-base-patch16-224`, …), and fetched there when they are missing.
// SIGLIP_COCO and SIGLIP_FLICKR name folders with pictures and `captions.jsonl`: rows {"file", "captions": [five]} of the
// 5,000 (1,000) pictures of Karpathy's test split. SIGLIP_IMAGENET one with `classes.json`: {"names": [1000], "templates"},
// those of open_clip, and `labels.jsonl`: rows {"file", "label"} of the 50,000 validation pictures.

const ENDPOINT = process.env.HF_ENDPOINT ?? "https://huggingface.co";
const FILES = ["config.json", "preprocessor_config.json", "spiece.model", "model.safetensors"];
const models =
  process.env.SIGLIP_MODELS ?? fileURLToPath(new URL("../../node_modules/.cache/siglip/models", import.meta.url));

async function load(name: string): Promise<Siglip> {
  const folder = join(models, name);
  await mkdir(folder, { recursive: true });
  for (const file of FILES) {
    if (existsSync(join(folder, file))) continue;
    const response = await fetch(`${ENDPOINT}/google/${name}/resolve/main/${file}`);
    if (!response.ok || !response.body)
      throw new Error(`${name}/${file}: HTTP ${response.status}; put it into ${folder}.`);
    await writeFileAtomic(join(folder, file), response.body);
  }
  return Siglip.load(folder, { dtype: "f32" });
}

function rows<Row>(folder: string, file: string): Row[] {
  return readFileSync(join(folder, file), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const skipUnless = (variable: string) => (process.env[variable] ? undefined : `${variable} names no folder`);

describe("google/siglip-base-patch16-224", () => {
  const folder = borrowedImages();
  const picture = folder && join(folder, "borrowed/coco-000000039769.png");
  const skip = picture && existsSync(picture) ? undefined : "the COCO picture is not there (SIGLIP_BORROWED)";

  tallied(
    "scores two cats as Hugging Face's integration test did",
    { backend: "auto", precision: "f32", skip },
    async () => {
      const model = await load("siglip-base-patch16-224");
      const texts = ["a photo of 2 cats", "a photo of 2 dogs"];
      const { logits, probabilities } = model.similarity(
        await model.embedImages([picture!]),
        await model.embedTexts(texts),
      );
      // Published to four decimals, from float32 runs: half a digit, and the 1e-3 that float32 costs a logit.
      expect(Math.abs(logits[0] - -0.7567)).toBeLessThan(1.1e-3);
      expect(Math.abs(logits[1] - -10.3354)).toBeLessThan(1.1e-3);
      expect(Math.abs(probabilities[0] - 0.3194)).toBeLessThan(5e-4);
      model.dispose();
    },
  );
});

describe("google/siglip-so400m-patch14-384", () => {
  // A percentage published with two decimals; one picture of 5,000 is 0.02, and ties fall either way.
  const close = (found: number, published: number) => expect(Math.abs(100 * found - published)).toBeLessThan(0.3);

  for (const [variable, toImage, toText] of [
    ["SIGLIP_COCO", 54.21, 72.42],
    ["SIGLIP_FLICKR", 82.96, 94.3],
  ] as const) {
    const options = { backend: "auto", precision: "f32", skip: skipUnless(variable) };
    tallied(`retrieves as open_clip measured, ${variable}`, options, async () => {
      const folder = process.env[variable]!;
      const pairs = rows<{ file: string; captions: string[] }>(folder, "captions.jsonl");
      const model = await load("siglip-so400m-patch14-384");
      const images = await model.embedImages(pairs.map(({ file }) => join(folder, file)));
      const texts = await model.embedTexts(pairs.flatMap(({ captions }) => captions));
      const owner = pairs.flatMap(({ captions }, index) => captions.map(() => index));
      const found = recall(model.similarity(images, texts).logits, owner, 1);
      close(found.toImage, toImage);
      close(found.toText, toText);
      model.dispose();
    });
  }

  const options = { backend: "auto", precision: "f32", skip: skipUnless("SIGLIP_IMAGENET") };
  tallied("classifies ImageNet-1k as open_clip measured", options, async () => {
    const folder = process.env.SIGLIP_IMAGENET!;
    const { names, templates } = JSON.parse(readFileSync(join(folder, "classes.json"), "utf8"));
    const model = await load("siglip-so400m-patch14-384");
    const classifier = await model.classifier(names, { templates });
    let right = 0;
    const pictures = rows<{ file: string; label: number }>(folder, "labels.jsonl");
    for (const { file, label } of pictures) {
      const [best] = await classifier.classify(join(folder, file));
      if (best.label === names[label]) right++;
    }
    close(right / pictures.length, 83.08);
    model.dispose();
  });
});
