import { readFileSync } from "node:fs";
import { bytesSource } from "../../src/checkpoint/source.ts";
import type { ModelFiles } from "../../src/files/model-files.ts";
import { parseConfig } from "../../src/model/config.ts";
import { type NodeImage, nodePlatform } from "../../src/node/platform.ts";
import { type LoadOptions, loadModel } from "../../src/siglip/load.ts";
import { Siglip } from "../../src/siglip/siglip.ts";
import { syntheticSource } from "../judge/synthetic.ts";

class Synthetic extends Siglip<NodeImage> {
  static async load(files: ModelFiles, options: LoadOptions): Promise<Synthetic> {
    return new Synthetic(await loadModel(files, nodePlatform, options));
  }
}

/** The image tower of a golden case as a user loads it, with the case's synthetic weights. */
export async function syntheticModel(name: string, processor: object, options: LoadOptions = {}): Promise<Synthetic> {
  const config = readFileSync(new URL(`../golden/${name}/config.json`, import.meta.url));
  const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  const sources = new Map([
    ["config.json", bytesSource(config, "config.json")],
    ["preprocessor_config.json", bytesSource(json(processor), "preprocessor_config.json")],
    ["model.safetensors", syntheticSource(parseConfig(JSON.parse(config.toString())))],
  ]);
  const files = { name, open: async (file: string) => sources.get(file), close: async () => {} };
  return Synthetic.load(files, { backend: "cpu", towers: ["image"], ...options });
}
