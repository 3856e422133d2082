import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { flexiblePatches } from "../../src/image/naflex.ts";
import { parseClassifier } from "../../src/model/classes.ts";
import { parseConfig } from "../../src/model/config.ts";
import { Section } from "../../src/model/section.ts";
import type { Values } from "../../src/model/towers.ts";
import { type LoadOptions, Siglip } from "../../src/node.ts";
import { OwnLabels } from "../../src/siglip/own-labels.ts";
import { synthetic } from "../harness/pictures.ts";
import { syntheticData, syntheticShapes, syntheticTensor } from "../judge/synthetic.ts";
import { holdClassLogits } from "./class-logits.ts";
import { example } from "./demo.ts";
import { demoJson, type Variant, variant } from "./variants.ts";

const cats = example("two-cats.png");
const id2label = { 0: "real", 1: "fake", 2: "drawn", 3: "photographed", 4: "none" };
const labels = Object.values(id2label);

describe("the golden file", () => holdClassLogits(["cpu", "wasm"]));

describe("an image classifier", () => {
  const classifier = ["classifier.weight", "classifier.bias"].map((name) => {
    const shape = name.endsWith("weight") ? [5, 144] : [5];
    const data = new Uint8Array(syntheticTensor(name, shape).buffer);
    return { name, dtype: "F32" as const, shape, data };
  });
  const config = { ...demoJson("config.json"), architectures: ["SiglipForImageClassification"], id2label };
  const saved: Variant = {
    config,
    tensor: (name) => (name.startsWith("vision_model.") ? { name } : undefined),
    more: classifier,
  };

  async function load(more: Variant, options: LoadOptions = {}): Promise<[Siglip, string[]]> {
    const warnings: string[] = [];
    const onWarning = (text: string) => void warnings.push(text);
    const common = { backend: "wasm", dtype: "f32", threads: 1, onWarning } as const;
    return [await Siglip.load(await variant({ ...saved, ...more }), { ...common, ...options }), warnings];
  }

  it("ranks its own labels by a softmax", async () => {
    const [model, warnings] = await load({});
    const ranked = await model.classify(cats);
    expect(ranked.map(({ label }) => label).sort()).toEqual([...labels].sort());
    expect(ranked.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 12);
    const logits = ranked.map(({ logit }) => logit);
    expect(logits).toEqual([...logits].sort((a, b) => b - a));
    expect(ranked[0].probability / ranked[1].probability).toBeCloseTo(Math.exp(logits[0] - logits[1]), 6);
    expect(model.config.classes).toEqual({ labels, independent: false });
    expect(warnings).toEqual([]);
    await expect(model.embedImages([cats])).rejects.toThrow(
      /^embedImages: wanted a tower with a MAP head.*call classify/,
    );
    await expect(model.classify(cats, ["a cat"])).rejects.toThrow(/text tower/);
    await expect(model.classify(cats, undefined, { template: "x" } as never)).rejects.toThrow(/say templates/);
    model.dispose();
  });

  it("judges each of several labels by itself, and a single one", async () => {
    const [softmax] = await load({});
    const [model] = await load({ config: { ...config, problem_type: "multi_label_classification" } });
    const ranked = await model.classify(cats);
    expect(ranked.map(({ logit }) => logit)).toEqual((await softmax.classify(cats)).map(({ logit }) => logit));
    for (const { probability, logit } of ranked) expect(probability).toBeCloseTo(1 / (1 + Math.exp(-logit)), 12);
    const classes = (more: object) => parseClassifier(new Section("config.json", { ...config, ...more })).classes;
    expect(classes({ id2label: { 0: "x" } })).toEqual({ labels: ["x"], independent: true });
    expect(classes({ id2label: undefined })).toEqual({ labels: ["LABEL_0", "LABEL_1"], independent: false });
    expect(classes({ id2label: null, num_labels: 3 }).labels).toEqual(["LABEL_0", "LABEL_1", "LABEL_2"]);
    model.dispose();
    softmax.dispose();
  });

  it("is refused where its linear map is not that of its labels", async () => {
    const { 4: _, ...four } = id2label;
    await expect(load({ config: { ...config, id2label: four } })).rejects.toThrow(
      /^classifier\.weight: wanted shape \[4, 144\] by config\.json, found \[5, 144\]/,
    );
    await expect(load({ more: [] })).rejects.toThrow(/wanted the tensor classifier\.weight/);
    await expect(load({ config: { ...config, vision_config: "base" } })).rejects.toThrow(
      /^config\.json: vision_config: wanted an object, found "base"; /,
    );
  });

  it("of NaFlex takes the mean over a picture's own patches, whatever its shape", async () => {
    const tiny = JSON.parse(readFileSync(new URL("../golden/tiny-naflex/config.json", import.meta.url), "utf8"));
    const raw = { ...tiny, architectures: ["Siglip2ForImageClassification"], id2label };
    const { tower, classes } = parseClassifier(new Section("config.json", raw));
    expect(parseConfig(tower)).toMatchObject({ towers: ["image"], vision: { naflex: true, head: false } });
    const { hidden } = parseConfig(tower).vision;
    const shapes = new Map(
      [...syntheticShapes(parseConfig(tiny))].filter(([name]) => name.startsWith("vision_model.")),
    );
    shapes.set("classifier.weight", [5, hidden]).set("classifier.bias", [5]);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for await (const chunk of writeSafetensors(syntheticData(shapes))) parts.push(chunk as Uint8Array<ArrayBuffer>);
    const processor = { image_processor_type: "Siglip2ImageProcessorFast", max_num_patches: 20 };
    const files = [
      new File([JSON.stringify(raw)], "config.json"),
      new File([JSON.stringify({ image_processor: processor })], "processor_config.json"),
      new File(parts, "model.safetensors"),
    ];
    const model = await Siglip.load(files, { backend: "cpu", onWarning: (text) => expect.fail(text) });
    const picture = synthetic(60, 25);
    const ranked = await model.classify(picture);
    expect(ranked.map(({ label }) => label).sort()).toEqual([...labels].sort());

    const { patchSize } = model.config.vision;
    const stride = 3 * patchSize ** 2;
    const pictures = await flexiblePatches(picture, model.config.image, { patch: patchSize, stride });
    const last: Values[] = [];
    await model.imageTower(pictures, { tap: (name, values) => name === "last_hidden_state" && last.push(values) });
    const own = await OwnLabels.load({ ...model.config, classes }, async (name, shape) => syntheticTensor(name, shape));
    expect(last[0].shape).toEqual([1, pictures.grids[0][0] * pictures.grids[0][1], hidden]);
    expect(own.rank(last[0].data)).toEqual(ranked);
    model.dispose();
  });

  it("has no labels of its own in a model that is none", async () => {
    const model = await Siglip.load("demo", { backend: "wasm", threads: 1 });
    await expect(model.classify(cats)).rejects.toThrow(/at least one label/);
    model.dispose();
  });
});
