import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listFiles } from "../../src/files/list.ts";
import { readConfig } from "../../src/files/read-model.ts";
import { PREFIX } from "../../src/model/layouts/hugging-face.ts";
import { canonicalNames } from "../../src/model/layouts/prefixes.ts";
import type { Values } from "../../src/model/towers.ts";
import { type LoadOptions, Siglip } from "../../src/node.ts";
import { SiglipError } from "../../src/support/error.ts";
import { example } from "./demo.ts";
import { demoJson, type Variant, variant } from "./variants.ts";

const cats = example("two-cats.png");
const texts = ["two cats", "a plane"];

let full: Siglip;
let images: number[];
let words: number[];
beforeAll(async () => {
  full = await Siglip.load("demo", { backend: "wasm", dtype: "f32", threads: 1 });
  images = [...(await full.embedImages([cats])).data];
  words = [...(await full.embedTexts(texts)).data];
});
afterAll(() => full?.dispose());

/** Loads a variant of the demo model, hands it to a test and gives the warnings. */
async function using(saved: Variant, test: (model: Siglip) => Promise<void>, options: LoadOptions = {}) {
  const warnings: string[] = [];
  const common = {
    backend: "wasm",
    dtype: "f32",
    threads: 1,
    onWarning: (text: string) => warnings.push(text),
  } as const;
  const model = await Siglip.load(await variant(saved), { ...common, ...options });
  try {
    await test(model);
  } finally {
    model.dispose();
  }
  return warnings;
}

async function refusal(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => undefined,
    (error) => error,
  );
  expect(error).toBeInstanceOf(SiglipError);
  expect(error.message).toMatch(/^[^\n]+: wanted [^\n]+, found [^\n]+; [^\n]+\.$/);
  return `${error.code}: ${error.message}`;
}

/** Tensors of one tower under other names, those of the other and what both share left out. */
const only = (prefix: string, as: string) => (name: string) =>
  name.startsWith(prefix) ? { name: as + name.slice(prefix.length) } : undefined;

describe("tensor names", () => {
  const names = ["vision_model.embeddings.patch_embedding.weight", "vision_model.post_layernorm.bias"].concat([
    "text_model.embeddings.token_embedding.weight",
    "text_model.head.weight",
    "logit_scale",
  ]);
  for (const before of ["model.", "siglip.", "module.", "_orig_mod.", "module._orig_mod.model.", "any.thing."]) {
    it(`are found behind ${before}`, () => {
      const found = names.map((name) => before + name);
      expect(found.map(canonicalNames(found, PREFIX))).toEqual(names);
    });
  }

  it("are found behind wrappers that stand in their middle, and of a tower alone behind nothing", () => {
    const wrapped = names.map((name) => name.replace("_model.", "_model._orig_mod."));
    expect(wrapped.map(canonicalNames(wrapped, PREFIX))).toEqual(names);
    for (const prefix of ["vision_model.", "text_model."]) {
      const own = names.filter((name) => name.startsWith(prefix));
      const bare = own.map((name) => name.slice(prefix.length));
      expect(bare.map(canonicalNames(bare, PREFIX))).toEqual(own);
      const twice = own.map((name) => prefix + name);
      expect([...twice, "classifier.bias"].map(canonicalNames(twice, PREFIX))).toEqual([...own, "classifier.bias"]);
    }
    const mixed = names.map((name) => name.replace(/^vision_model\./, ""));
    expect(mixed.map(canonicalNames(mixed, PREFIX))).toEqual(names);
  });

  it("are the towers' own, not those of a moving average that lies beside them", () => {
    for (const order of [
      ["model.", "ema."],
      ["ema.", "model."],
    ]) {
      const towers = names.filter((name) => !name.startsWith("logit_")).map((name) => `model.${name}`);
      const both = [...towers, ...order.map((before) => `${before}logit_scale`)];
      const found = both.filter((_, index) => canonicalNames(both, PREFIX)(both[index]) === "logit_scale");
      expect(found).toEqual(["model.logit_scale"]);
    }
  });

  it("stay where no tower's are among them", () => {
    const others = [
      "visual.trunk.patch_embed.proj.weight",
      "text.token_embedding.weight",
      "xembeddings.patch_embedding.weight",
    ];
    expect(others.map(canonicalNames(others, PREFIX))).toEqual(others);
  });

  it("give the same model, and a scalar logit_scale too", async () => {
    const scalar = (name: string, shape: readonly number[]) => (name.startsWith("logit_") ? [] : shape);
    const saved = {
      tensor: (name: string, shape: readonly number[]) => ({
        name: `module._orig_mod.siglip.${name}`,
        shape: scalar(name, shape),
      }),
    };
    const warnings = await using(saved, async (model) => {
      expect([...(await model.embedImages([cats])).data]).toEqual(images);
      expect([...(await model.embedTexts(texts)).data]).toEqual(words);
      const scores = async (model: Siglip) =>
        model.similarity(await model.embedImages([cats]), await model.embedTexts(texts));
      expect(await scores(model)).toEqual(await scores(full));
    });
    expect(warnings).toEqual([]);
  });

  it("that are missing are told with the nearest that was found", async () => {
    const other = (name: string) => ({ name: name.replace("post_layernorm", "post_layer_norm") });
    const found = 'found 152 tensors, the nearest "vision_model.post_layer_norm.weight"';
    expect(await refusal(using({ tensor: other }, async () => {}))).toContain(
      `bad-checkpoint: model.safetensors: wanted the tensor vision_model.post_layernorm.weight, ${found}; fetch`,
    );
  });
});

describe("pictures' settings", () => {
  const settings = { ...demoJson("preprocessor_config.json"), resample: 2 };
  const image = async (json: Variant["json"]) => {
    const warnings: string[] = [];
    const { image } = await readConfig(listFiles(await variant({ json })), (text) => warnings.push(text));
    return [image.resample, warnings.length];
  };

  it("are read of processor_config.json where transformers 5 put them", async () => {
    const nested = { image_processor: settings, processor_class: "SiglipProcessor" };
    expect(await image({ "preprocessor_config.json": undefined, "processor_config.json": nested })).toEqual([
      "bilinear",
      0,
    ]);
    expect(await image({ "preprocessor_config.json": settings, "processor_config.json": {} })).toEqual(["bilinear", 0]);
  });

  it("are guessed, and that is told, where neither file has them", async () => {
    for (const other of [undefined, null, {}, [], "x", { processor_class: "SiglipProcessor" }]) {
      expect(await image({ "preprocessor_config.json": undefined, "processor_config.json": other })).toEqual([
        "bicubic",
        1,
      ]);
    }
  });

  it("are refused where they are not what the model takes, wherever they lie", async () => {
    const nested = { image_processor: { ...settings, do_center_crop: true } };
    const json = { "preprocessor_config.json": undefined, "processor_config.json": nested };
    expect(await refusal(using({ json }, async () => {}))).toMatch(/^unsupported: .*do_center_crop/);
  });
});

describe("a tower alone", () => {
  const { vision_config, text_config } = demoJson("config.json");

  for (const [how, as] of Object.entries({ "its own prefix": "vision_model.", nothing: "" })) {
    it(`of images, its names behind ${how}, embeds images only`, async () => {
      const saved = {
        config: { ...vision_config, model_type: "siglip_vision_model" },
        tensor: only("vision_model.", as),
      };
      const warnings = await using(saved, async (model) => {
        expect([...(await model.embedImages([cats])).data]).toEqual(images);
        expect([model.dim, model.config.towers]).toEqual([144, ["image"]]);
        expect(await refusal(model.embedTexts(texts))).toMatch(/text tower: .*found the image tower alone/);
        const one = await model.embedImages([cats]);
        expect(() => model.similarity(one, one)).toThrow(/^similarity: wanted a checkpoint with logit_scale/);
      });
      expect(warnings).toEqual([]);
    });
  }

  it("of texts embeds texts only, and asks for no settings of pictures", async () => {
    const saved = {
      config: { ...text_config, model_type: "siglip_text_model" },
      json: { "preprocessor_config.json": undefined },
      tensor: only("text_model.", ""),
    };
    const warnings = await using(saved, async (model) => {
      expect([...(await model.embedTexts(texts)).data]).toEqual(words);
      expect([model.dim, model.config.towers]).toEqual([144, ["text"]]);
      expect(await refusal(model.embedImages([cats]))).toMatch(/image tower: .*found the text tower alone/);
    });
    expect(warnings).toEqual([]);
  });

  it("is told where the other is asked for", async () => {
    const saved = {
      config: { ...vision_config, model_type: "siglip_vision_model" },
      tensor: only("vision_model.", ""),
    };
    const message = await refusal(using(saved, async () => {}, { towers: ["image", "text"] }));
    expect(message).toMatch(/^unsupported: towers: wanted the image tower, .*found "text"; leave towers out/);
  });

  it("without a MAP head has tokens but no embedding", async () => {
    const config = { ...vision_config, vision_use_head: false, model_type: "siglip_vision_model" };
    const tensor = (name: string) => (/^vision_model\.(?!head)/.test(name) ? { name } : undefined);
    await using({ config, tensor }, async (model) => {
      const last: Values[] = [];
      const tap = (name: string, values: Values) => void (name === "last_hidden_state" && last.push(values));
      const pixels = new Float32Array(3 * 112 * 112).fill(0.5);
      const { data, shape } = await model.imageTower(pixels, { tap });
      await full.imageTower(pixels, { tap });
      expect(last[0]).toEqual(last[1]);
      expect([data, shape]).toEqual([last[1].data, [1, 64 * 144]]);
      expect(await refusal(model.embedImages([cats]))).toMatch(
        /^unsupported: embedImages: wanted a tower with a MAP head, found one that ends in its tokens; call features\.$/,
      );
    });
  });
});

describe("what is not supported", () => {
  const { vision_config, ...config } = demoJson("config.json");
  const cases: [string, object][] = [
    ["model_type", { ...config, vision_config, model_type: "clip" }],
    ["hidden_act", { ...config, vision_config: { ...vision_config, hidden_act: "gelu" } }],
    ["vision_use_head", { ...config, vision_config: { ...vision_config, vision_use_head: "cls" } }],
    ["image_size", { ...config, vision_config: { ...vision_config, image_size: [112, 224] } }],
    ["hidden_act", { ...vision_config, model_type: "siglip_vision_model", hidden_act: "relu" }],
    ["num_patches", { model_type: "siglip2", vision_config: { num_patches: 200 } }],
    ["problem_type", { ...config, architectures: ["SiglipForImageClassification"], problem_type: "regression" }],
    ["id2label", { ...config, architectures: ["SiglipForImageClassification"], id2label: { 0: "a", 2: "b" } }],
  ];
  for (const [key, config] of cases) {
    it(`is refused by name, weights not looked for: ${key} of ${JSON.stringify(config).slice(0, 40)}`, async () => {
      const files = (await variant({ config })).filter(({ name }) => name !== "model.safetensors");
      expect(await refusal(Siglip.load(files, { backend: "cpu" }))).toMatch(
        new RegExp(`^unsupported: config\\.json.*${key}`),
      );
    });
  }
});
