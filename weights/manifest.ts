// Completes weights/manifest.json: what follows from each checkpoint's config is counted by the library's own code, not typed.
// `npx tsx weights/manifest.ts` after an entry was added or changed.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { parseConfig, type SiglipConfig } from "../src/model/config.ts";
import { PREFIX } from "../src/model/layouts/hugging-face.ts";
import { Params } from "../src/model/params.ts";
import { bindTextTower } from "../src/model/text.ts";
import { bindVisionTower } from "../src/model/vision.ts";
import { size } from "../src/tensor/shape.ts";

/** A published checkpoint as its own files describe it. */
export interface Described {
  /** On the Hugging Face Hub. */
  readonly id: string;
  /** What its `config.json` says that is not a default. */
  readonly config: unknown;
  /** Likewise of `preprocessor_config.json`. */
  readonly preprocessor: unknown;
  /** What others publish of it. */
  readonly published?: unknown;
}

/** A checkpoint and what its configuration amounts to. */
export function complete({ id, config, preprocessor, published }: Described) {
  const parsed = parseConfig(config, preprocessor);
  const { vision, text, image } = parsed;
  return {
    id,
    config,
    preprocessor,
    parameters: parameters(parsed),
    defaults: {
      pixels: vision.naflex ? null : vision.imageSize,
      patch: vision.patchSize,
      patches: vision.tokens,
      filter: image.resample,
      tokens: text.positions,
      vocabulary: text.vocabulary,
      dim: vision.hidden,
    },
    published: published ?? null,
  };
}

/** Parameters of both towers; the token table apart, which stays off the device. */
export function parameters({ vision, text }: SiglipConfig): { image: number; text: number; table: number } {
  const bound = (prefix: string, bind: (p: Params) => void) => {
    const p = new Params(prefix, "f32");
    bind(p);
    const weights = p.bindings.map(({ weight }) => weight).filter(({ name }) => !name.includes("position_embedding"));
    return weights.reduce((sum, { shape }) => sum + size(shape), 0);
  };
  return {
    image: bound(PREFIX.image, (p) => bindVisionTower(p, vision)) + vision.tokens * vision.hidden,
    text: bound(PREFIX.text, (p) => bindTextTower(p, text)) + text.positions * text.hidden,
    table: text.vocabulary * text.hidden,
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const path = new URL("manifest.json", import.meta.url);
  const manifest = JSON.parse(readFileSync(path, "utf8"));
  const checkpoints = manifest.checkpoints.map(complete);
  writeFileSync(path, `${JSON.stringify({ ...manifest, checkpoints }, undefined, 2)}\n`);
}
