import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseConfig, parseJson } from "../../src/model/config.ts";
import { SiglipError } from "../../src/support/error.ts";

const json = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));

/** The message of the SiglipError that is thrown: one sentence. */
function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(SiglipError);
    expect((error as Error).message).toMatch(/^[^\n]+\.$/);
    return (error as Error).message;
  }
  return expect.fail("nothing was thrown");
}

const tower = { hidden: 768, mlp: 3072, layers: 12, heads: 12, eps: 1e-6 };
const base = {
  towers: ["image", "text"],
  vision: { ...tower, naflex: false, imageSize: 224, patchSize: 16, channels: 3, tokens: 196, head: true },
  text: { ...tower, vocabulary: 32000, positions: 64, projection: 768 },
  image: { size: [224, 224], resample: "bicubic", rescale: 1 / 255, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
};

describe("a sparse config.json", () => {
  const so400m = { hidden_size: 1152, intermediate_size: 4304, num_attention_heads: 16, num_hidden_layers: 27 };
  const large = { hidden: 1152, mlp: 4304, layers: 27, heads: 16, eps: 1e-6 };

  it("has Hugging Face's defaults: base-patch16-224 names nothing", () => {
    const text_config = { model_type: "siglip_text_model" };
    const vision_config = { model_type: "siglip_vision_model" };
    expect(parseConfig({ model_type: "siglip", text_config, vision_config })).toEqual(base);
    expect(parseConfig({ model_type: "siglip" })).toEqual(base);
    expect(parseConfig({ text_config, vision_config })).toEqual(base);
    expect(parseConfig({ model_type: "siglip", text_config: null, vision_config: {} })).toEqual(base);
    expect(parseConfig({ model_type: "siglip", text_config: {}, vision_config: null })).toEqual(base);
  });

  it("of so400m-patch14-384 gives 729 tokens, the last 6 pixels dropped", () => {
    const config = {
      model_type: "siglip",
      text_config: so400m,
      vision_config: { ...so400m, image_size: 384, patch_size: 14 },
    };
    expect(parseConfig(config)).toEqual({
      towers: ["image", "text"],
      vision: { ...base.vision, ...large, imageSize: 384, patchSize: 14, tokens: 729 },
      text: { ...large, vocabulary: 32000, positions: 64, projection: 1152 },
      image: { ...base.image, size: [384, 384] },
    });
  });

  it("of giant-opt needs projection_size: the towers differ in width", () => {
    const vision_config = {
      hidden_size: 1536,
      intermediate_size: 6144,
      num_attention_heads: 16,
      num_hidden_layers: 40,
      image_size: 256,
    };
    const text_config = { ...so400m, vocab_size: 256000, projection_size: 1536 };
    const { text } = parseConfig({ model_type: "siglip", text_config, vision_config });
    expect(text).toEqual({ ...large, vocabulary: 256000, positions: 64, projection: 1536 });
    const message = refusal(() => parseConfig({ model_type: "siglip", text_config: so400m, vision_config }));
    expect(message).toContain("config.json: text_config: wanted projection_size to be the vision tower's width 1536");
    expect(message).toContain("found 1152");
  });
});

describe("a flat config.json", () => {
  const shape = { hidden_size: 1152, intermediate_size: 4304, num_attention_heads: 16, num_hidden_layers: 27 };
  const large = { hidden: 1152, mlp: 4304, layers: 27, heads: 16 };

  for (const generation of ["siglip", "siglip2"]) {
    it(`is a tower alone of ${generation}, the other one's section defaults`, () => {
      const image = parseConfig({ ...shape, model_type: `${generation}_vision_model` });
      expect(image).toMatchObject({ towers: ["image"], vision: large, text: base.text });
      expect(image.vision).toMatchObject({ naflex: generation === "siglip2", patchSize: 16, head: true });
      const more = { projection_size: 1536, vocab_size: 256_000 };
      const text = parseConfig({ ...shape, ...more, model_type: `${generation}_text_model` });
      const wanted = { ...large, projection: 1536, vocabulary: 256_000 };
      expect(text).toMatchObject({ towers: ["text"], text: wanted, vision: { hidden: 768 } });
    });
  }

  it("tells the key without a section, and looks at no picture settings for texts", () => {
    const flat = (values: object) => () => parseConfig({ ...values, model_type: "siglip_text_model" }, { size: 7 });
    expect(flat({})().towers).toEqual(["text"]);
    expect(refusal(flat({ vocab_size: 0 }))).toMatch(/^config\.json: wanted vocab_size to be a whole number/);
  });
});

describe("the golden configs", () => {
  for (const name of ["tiny-giant", "tiny-hd64", "tiny-hd72", "tiny-ragged", "so400m-384"]) {
    it(`${name} is read`, () => {
      const config = json(`../golden/${name}/config.json`);
      const { vision, text } = parseConfig(config);
      expect(vision).toMatchObject({
        hidden: config.vision_config.hidden_size,
        mlp: config.vision_config.intermediate_size,
      });
      expect(text).toMatchObject({ positions: config.text_config.max_position_embeddings });
    });
  }

  it("tiny-naflex is read: any shape, at most as many patches as the preprocessor says", () => {
    const config = json("../golden/tiny-naflex/config.json");
    const { vision, image } = parseConfig(config);
    expect(vision).toMatchObject({ naflex: true, tokens: 49, patchSize: 4, imageSize: 28 });
    expect(image).toMatchObject({ size: [28, 28], maxPatches: 256, resample: "bilinear" });
    const processor = { image_processor_type: "Siglip2ImageProcessorFast", max_num_patches: 64 };
    expect(parseConfig(config, processor).image.maxPatches).toBe(64);
    expect(refusal(() => parseConfig(config, { max_num_patches: 0 }))).toContain("max_num_patches");
  });

  it("the demo model's two files are read", () => {
    const config = parseConfig(
      json("../../weights/demo/config.json"),
      json("../../weights/demo/preprocessor_config.json"),
    );
    expect(config.image).toEqual({ ...base.image, size: [112, 112] });
  });
});

describe("config.json", () => {
  const vision = (vision_config: object) => () => parseConfig({ model_type: "siglip", vision_config });
  const text = (text_config: object) => () => parseConfig({ model_type: "siglip", text_config });

  it("is refused when it is no object", () => {
    for (const config of [null, undefined, [], "siglip", 1, true]) {
      expect(refusal(() => parseConfig(config))).toContain("config.json: wanted an object");
    }
    expect(refusal(() => parseConfig({ model_type: "siglip", text_config: [] }))).toContain(
      "text_config: wanted an object",
    );
  });

  it("is refused when it describes another model", () => {
    for (const config of [{}, { model_type: "clip" }, { model_type: null }, { model_type: ["siglip"] }]) {
      expect(refusal(() => parseConfig(config))).toContain('wanted model_type to be "siglip"');
    }
    for (const hidden_act of ["gelu", "quick_gelu", null, 1]) {
      const found = `wanted hidden_act to be "gelu_pytorch_tanh", found ${JSON.stringify(hidden_act)}`;
      expect(refusal(text({ hidden_act }))).toContain(found);
    }
    expect(refusal(vision({ vision_use_head: 0 }))).toContain("vision_use_head");
    for (const type of ["siglip3", "siglip_vision", "siglip2_qformer_model", "siglip\n"]) {
      expect(refusal(() => parseConfig({ model_type: type }))).toContain(`found ${JSON.stringify(type)}`);
    }
    expect(refusal(vision({ num_channels: 4 }))).toContain("num_channels");
  });

  const counts: [(values: object) => () => unknown, string[]][] = [
    [
      vision,
      ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size"],
    ],
    [text, ["hidden_size", "vocab_size", "max_position_embeddings", "projection_size"]],
  ];
  for (const [section, keys] of counts) {
    for (const key of keys) {
      it(`refuses a ${key} of the ${section === text ? "text" : "vision"} tower that is no sensible count`, () => {
        for (const value of [0, -1, 1.5, 1e9, 2 ** 53, Infinity, Number.NaN, "12", null, true, [12], {}]) {
          expect(refusal(section({ [key]: value }))).toContain(`wanted ${key} to be a whole number from 1 to`);
        }
      });
    }
  }

  it("refuses contradictions", () => {
    expect(refusal(vision({ num_attention_heads: 7 }))).toContain("a divisor of hidden_size 768, found 7");
    expect(refusal(vision({ patch_size: 225 }))).toContain("wanted patch_size to be a whole number from 1 to 224");
    expect(refusal(vision({ image_size: 4096, patch_size: 8 }))).toContain("patch_size");
    for (const eps of [0, -1e-6, 2, 1e-300, Number.NaN, "1e-6", null]) {
      expect(refusal(vision({ layer_norm_eps: eps }))).toContain("layer_norm_eps");
    }
  });

  it("ignores what inference does not need, and what every object inherits", () => {
    const extras = { bos_token_id: "x", eos_token_id: -1, attention_dropout: 0, constructor: 1, toString: null };
    const config = JSON.parse(
      `{"model_type":"siglip","__proto__":{"text_config":5},"vision_config":{"__proto__":{"image_size":-1}}}`,
    );
    expect(parseConfig({ ...config, text_config: extras, torch_dtype: 7 })).toEqual(base);
    expect(parseConfig(config)).toEqual(base);
    expect(parseConfig(Object.assign(Object.create({ text_config: 5 }), { model_type: "siglip" }))).toEqual(base);
  });
});

describe("preprocessor_config.json", () => {
  const image = (preprocessor?: unknown) => parseConfig({ model_type: "siglip" }, preprocessor).image;

  it("has SigLIP's defaults where keys or the file are left out", () => {
    for (const preprocessor of [
      undefined,
      null,
      {},
      { size: null, image_mean: null, do_center_crop: null, crop_size: null },
    ]) {
      expect(image(preprocessor)).toEqual(base.image);
    }
  });

  it("sets the filter, the factor, mean and deviation", () => {
    expect(image({ resample: 2, image_processor_type: "SiglipImageProcessorFast" })).toEqual({
      ...base.image,
      resample: "bilinear",
    });
    const values = { rescale_factor: 1 / 128, image_mean: [0.1, 0, -0.5], image_std: [1, 2, 0.25] };
    expect(image(values)).toEqual({
      size: [224, 224],
      resample: "bicubic",
      rescale: 1 / 128,
      mean: [0.1, 0, -0.5],
      std: [1, 2, 0.25],
    });
    expect(image({ do_rescale: false })).toEqual({ ...base.image, rescale: 1 });
    expect(image({ do_normalize: false })).toEqual({ ...base.image, mean: [0, 0, 0], std: [1, 1, 1] });
    for (const size of [224, { height: 224, width: 224 }]) expect(image({ size }).size).toEqual([224, 224]);
  });

  const cases: [object, string][] = [
    [{ resample: 0 }, "wanted resample to be 2 (bilinear) or 3 (bicubic), found 0 (nearest)"],
    [{ resample: 1 }, "found 1 (lanczos)"],
    [{ resample: 9 }, "found 9 (no filter of PIL's)"],
    [{ resample: "bicubic" }, "resample"],
    [{ resample: null }, "resample"],
    [{ size: { height: 224, width: 256 } }, "size: wanted width to be 224, the image_size of config.json, found 256"],
    [{ size: { height: 384, width: 384 } }, "size: wanted height to be 224"],
    [{ size: { shortest_edge: 224 } }, "size: wanted height to be 224, the image_size of config.json, found none"],
    [{ size: 384 }, "wanted size to be 224"],
    [{ size: "224" }, "wanted size to be 224"],
    [{ size: [224, 224] }, "size: wanted an object"],
    [{ do_resize: false }, "wanted do_resize to be true"],
    [{ do_resize: null }, "wanted do_resize to be true or false"],
    [{ do_rescale: 0 }, "wanted do_rescale to be true or false"],
    [{ do_normalize: "no" }, "wanted do_normalize to be true or false"],
    [{ do_center_crop: true }, "do_center_crop"],
    [{ image_processor_type: "CLIPImageProcessor" }, "image_processor_type"],
    [{ image_processor_type: { toString: 1 } }, "image_processor_type"],
    [{ rescale_factor: 0 }, "rescale_factor"],
    [{ rescale_factor: -1 }, "rescale_factor"],
    [{ rescale_factor: null }, "rescale_factor"],
    [{ image_mean: [0.5, 0.5] }, "wanted image_mean to be three numbers"],
    [{ image_mean: 0.5 }, "image_mean"],
    [{ image_mean: [0.5, 0.5, "0.5"] }, "image_mean"],
    [{ image_std: [0.5, 0, 0.5] }, "wanted image_std to be three numbers from 0.001"],
    [{ image_std: [0.5, Number.NaN, 0.5] }, "image_std"],
  ];
  for (const [preprocessor, reason] of cases) {
    it(`refuses ${JSON.stringify(preprocessor)}`, () => {
      const message = refusal(() => image(preprocessor));
      expect(message).toMatch(/^preprocessor_config\.json: /);
      expect(message).toContain(reason);
    });
  }

  it("is refused when it is no object", () => {
    for (const preprocessor of [[], "x", 1, false]) {
      expect(refusal(() => image(preprocessor))).toContain("preprocessor_config.json: wanted an object");
    }
  });
});

describe("any JSON", () => {
  const keys = [
    ...["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "layer_norm_eps", "hidden_act"],
    ...["image_size", "patch_size", "num_channels", "vocab_size", "max_position_embeddings", "projection_size"],
  ];
  const number = fc.oneof(fc.integer({ min: -2, max: 2000 }), fc.double(), fc.constantFrom(768, 384, 16, 14, 12, 1e-6));
  const section = fc.dictionary(fc.constantFrom(...keys), fc.oneof({ weight: 4, arbitrary: number }, fc.jsonValue()), {
    maxKeys: 4,
  });
  const config = fc.record({ model_type: fc.constant("siglip"), text_config: section, vision_config: section });
  const processorKeys = [
    "size",
    "resample",
    "do_resize",
    "do_rescale",
    "do_normalize",
    "rescale_factor",
    "image_mean",
    "image_std",
  ];
  const processor = fc.dictionary(fc.constantFrom(...processorKeys), fc.oneof(number, fc.jsonValue()), { maxKeys: 3 });

  it("is either a sound configuration or refused in a sentence (property)", () => {
    fc.assert(
      fc.property(
        fc.oneof(config, fc.jsonValue()),
        fc.oneof(fc.constant(undefined), processor),
        (config, preprocessor) => {
          try {
            const { vision, text, image } = parseConfig(config, preprocessor);
            expect(text.projection).toBe(vision.hidden);
            expect(image.size).toEqual([vision.imageSize, vision.imageSize]);
            for (const { hidden, heads } of [vision, text]) expect(hidden % heads).toBe(0);
            expect(vision.tokens).toBe(Math.floor(vision.imageSize / vision.patchSize) ** 2);
            expect(vision.tokens * vision.hidden * text.vocabulary * text.positions * vision.mlp).toBeGreaterThan(0);
          } catch (error) {
            if (!(error instanceof SiglipError)) throw error;
          }
        },
      ),
      { numRuns: 5000 },
    );
  });
});

describe("parseJson", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  it("reads UTF-8, with a byte order mark or without", () => {
    expect(parseJson(bytes('\ufeff{"é":[1]}'), "a.json")).toEqual({ é: [1] });
    expect(parseJson(bytes("null"), "a.json")).toBe(null);
  });

  it("refuses what is none, and tells the file", () => {
    expect(refusal(() => parseJson(bytes("{\n'a'"), "a.json"))).toMatch(
      /^a\.json: wanted JSON, found text that is none/,
    );
    expect(refusal(() => parseJson(bytes(""), "a.json"))).toMatch(/^a\.json: /);
    expect(refusal(() => parseJson(new Uint8Array([0x22, 0xff, 0x22]), "a.json"))).toContain("not UTF-8");
    expect(refusal(() => parseJson(bytes("   {}"), "a.json", 4))).toContain("at most 4 bytes of JSON, found 5");
    expect(refusal(() => parseJson(bytes("[".repeat(2 ** 20)), "a.json"))).toMatch(/^a\.json: /);
    expect(refusal(() => parseJson(new Uint8Array(2 ** 20 + 1), "a.json"))).toContain("at most 1048576");
  });

  it("reads deep nesting without falling over", () => {
    const deep = parseJson(bytes(`${"[".repeat(500_000)}${"]".repeat(500_000)}`), "a.json");
    expect(refusal(() => parseConfig({ model_type: "siglip", text_config: deep }))).toContain("found an array");
    expect(refusal(() => parseConfig({ model_type: "siglip", text_config: { hidden_size: deep } }))).toContain(
      "an array",
    );
  });
});
