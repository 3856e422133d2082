import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openCheckpoint, readConfig } from "../../src/files/read-model.ts";
import { parseConfig } from "../../src/model/config.ts";
import { bindTowers } from "../../src/model/towers.ts";
import { networkFiles } from "../../src/network/network-files.ts";
import { complete, type Described, parameters } from "../../weights/manifest.ts";
import { type Hub, serveHub } from "../harness/hub.ts";
import { syntheticShapes, syntheticSource } from "../judge/synthetic.ts";

interface Published {
  readonly source: string;
  readonly parametersInMillions?: number;
  readonly imageNetTop1: number;
  readonly cocoTextToImage: number;
  readonly cocoImageToText: number;
}

interface Entry extends Described {
  readonly parameters: Readonly<Record<"image" | "text" | "table", number>>;
  readonly published: Published | null;
}

const { checkpoints, sources, recommended }: Manifest = JSON.parse(
  readFileSync(new URL("../../weights/manifest.json", import.meta.url), "utf8"),
);
interface Manifest {
  readonly checkpoints: readonly Entry[];
  readonly sources: Readonly<Record<string, { readonly urls: readonly string[] }>>;
  readonly recommended: { readonly id: string };
}

/** The family by name: every checkpoint that Google published for both generations in Hugging Face's layout. */
const FAMILY = {
  siglip: [
    ...["base-patch16-224", "base-patch16-256", "base-patch16-384", "base-patch16-512"],
    ...["base-patch16-256-multilingual", "large-patch16-256", "large-patch16-384"],
    ...["so400m-patch14-224", "so400m-patch14-384", "so400m-patch16-256-i18n"],
  ],
  siglip2: [
    ...["base-patch32-256", "base-patch16-224", "base-patch16-256", "base-patch16-384", "base-patch16-512"],
    ...["large-patch16-256", "large-patch16-384", "large-patch16-512", "so400m-patch14-224", "so400m-patch14-384"],
    ...["so400m-patch16-256", "so400m-patch16-384", "so400m-patch16-512"],
    ...["giant-opt-patch16-256", "giant-opt-patch16-384", "base-patch16-naflex", "so400m-patch16-naflex"],
  ],
};

describe("weights/manifest.json", () => {
  it("lists the family, each once, with what its configuration amounts to", () => {
    const ids = Object.entries(FAMILY).flatMap(([generation, names]) =>
      names.map((name) => `google/${generation}-${name}`),
    );
    expect(checkpoints.map(({ id }) => id).sort()).toEqual(ids.sort());
    expect(ids).toContain(recommended.id);
    expect(checkpoints.map(complete)).toEqual(checkpoints);
  });

  it("says what a checkpoint's name says", () => {
    for (const { id, config, preprocessor } of checkpoints) {
      const [, generation, size, patch, rest] = /^google\/siglip(2?)-(.*)-patch(\d+)-([^-]+)/.exec(id)!;
      const { vision, text, image } = parseConfig(config, preprocessor);
      const widths: Record<string, number> = { base: 768, large: 1024, so400m: 1152, "giant-opt": 1536 };
      expect([vision.hidden, text.projection], id).toEqual([widths[size], widths[size]]);
      expect(vision.patchSize, id).toBe(Number(patch));
      expect(vision.naflex ? "naflex" : String(vision.imageSize), id).toBe(rest);
      expect(image.resample, id).toBe(generation ? "bilinear" : "bicubic");
      const many = /multilingual|i18n/.test(id) ? 250_000 : 32_000;
      expect(text.vocabulary, id).toBe(generation ? 256_000 : many);
      expect(text.positions, id).toBe(id.endsWith("siglip-so400m-patch14-224") ? 16 : 64);
    }
  });

  it("cites every figure, and counts as many parameters as others do", () => {
    for (const { id, parameters, published } of checkpoints) {
      if (!published) continue;
      expect(sources[published.source].urls.length, id).toBeGreaterThan(0);
      for (const figure of ["imageNetTop1", "cocoTextToImage", "cocoImageToText"] as const) {
        expect(published[figure], id).toBeGreaterThan(40);
        expect(published[figure], id).toBeLessThan(90);
      }
      const { parametersInMillions: others } = published;
      // logit_scale and logit_bias belong to no tower.
      const all = parameters.image + parameters.text + parameters.table + 2;
      if (others) expect((all / 1e6).toFixed(2), id).toBe(others.toFixed(2));
    }
  });
});

describe("every checkpoint of the family", () => {
  let hub: Hub;
  beforeAll(async () => {
    hub = await serveHub();
  });
  afterAll(() => hub?.[Symbol.asyncDispose]());

  for (const { id, config, preprocessor } of checkpoints) {
    it(`loads by its id as far as weights say what they are: ${id}`, async () => {
      const wanted = parseConfig(config, preprocessor);
      hub.publish(id, {
        "config.json": JSON.stringify(config),
        "preprocessor_config.json": JSON.stringify(preprocessor),
        "model.safetensors": syntheticSource(wanted),
      });
      const files = networkFiles(id, { endpoint: hub.endpoint })!;
      const found = await readConfig(files, (warning) => expect.fail(warning));
      expect(found).toEqual(wanted);
      const { tensors } = await openCheckpoint(files);
      await files.close();
      const { vision, text } = bindTowers(found, "f16");
      expect(vision.blocks.length + text.blocks.length).toBe(wanted.vision.layers + wanted.text.layers);
      expect(new Map([...tensors.values()].map(({ name, shape }) => [name, shape]))).toEqual(syntheticShapes(found));
      const { image, text: words, table } = parameters(found);
      const stored = [...tensors.values()].reduce((sum, { begin, end }) => sum + (end - begin) / 4, 0);
      expect(image + words + table + 2).toBe(stored);
    });
  }
});
