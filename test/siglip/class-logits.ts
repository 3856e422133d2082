import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import type { SiglipConfig } from "../../src/model/config.ts";
import { readValues } from "../../src/model/load-weights.ts";
import { loadTowers } from "../../src/model/towers.ts";
import { OwnLabels } from "../../src/siglip/own-labels.ts";
import { BACKENDS } from "../harness/backends.ts";
import { openGolden } from "../harness/golden.ts";
import { compare } from "../judge/compare.ts";
import { syntheticData, syntheticShapes } from "../judge/synthetic.ts";

/** Holds an image classifier's logits, and the tokens they come from, to the golden file on some backends. */
export function holdClassLogits(names: readonly string[]): void {
  for (const { name, golden: bound, test } of BACKENDS.filter(({ name }) => names.includes(name))) {
    test(`class_logits are the mean over tokens under one linear map on ${name}`, {
      precision: "f32",
    }, async (backend) => {
      const golden = await openGolden("layouts-base");
      const classes = { labels: ["a", "b", "c", "d", "e"], independent: false };
      const vision = { ...golden.config.vision, head: false };
      const config: SiglipConfig = { ...golden.config, towers: ["image"], classes, vision };
      const weights = await classifier(golden.config);
      const towers = await loadTowers(backend, weights, config, { dtype: "f32", towers: ["image"] });
      const own = await OwnLabels.load(config, (name, shape) => readValues(weights, name, shape));
      const unused = towers.unused.filter((name) => !OwnLabels.knows(name));
      if (unused.length > 0) throw new Error(`Nothing has a use for ${unused.join(", ")}.`);
      const { data, shape } = await towers.image((await golden.values("pixel_values")).data);
      const logits = [0, 1].flatMap((item) => [...own.logits(data.subarray(item * shape[1], (item + 1) * shape[1]))]);
      const hold = async (what: string, actual: Float32Array) => {
        const { data, shape } = await golden.values(what);
        compare(actual, data, { shape, label: `${name} ${what}`, relative: bound });
      };
      await hold("class_logits", Float32Array.from(logits));
      await hold("vision_last_hidden_state", data);
    });
  }
}

/** All of an image tower and the linear map, by the rule for synthetic weights. */
async function classifier(config: SiglipConfig): Promise<Checkpoint> {
  const shapes = new Map([...syntheticShapes(config)].filter(([name]) => name.startsWith("vision_model.")));
  shapes.set("classifier.weight", [5, config.vision.hidden]);
  shapes.set("classifier.bias", [5]);
  const parts: Uint8Array[] = [];
  for await (const chunk of writeSafetensors(syntheticData(shapes))) parts.push(chunk);
  return Checkpoint.open([bytesSource(Buffer.concat(parts))]);
}
