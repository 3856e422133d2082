import { describe, expect, it } from "vitest";
import type { Towers } from "../../src/model/towers.ts";
import { Siglip, SiglipError } from "../../src/node.ts";
import { calibrated } from "../../src/siglip/calibration.ts";
import { example } from "./demo.ts";

describe("a calibration", async () => {
  const own = await Siglip.load("demo", { backend: "wasm" });
  const fitted = { logitScale: 3, logitBias: -1.5 };
  const model = { name: "demo", dim: own.dim, ...own.calibration };
  const towers = { scale: Math.exp(model.logitScale), bias: model.logitBias } as Towers;
  const apply = (calibration: unknown) => calibrated(towers, "demo", own.config, calibration as typeof fitted);

  it("is the checkpoint's own by default", () => {
    const probe = new Float32Array(own.dim);
    probe[0] = 1;
    const one = { data: probe, shape: [1, own.dim] as const };
    const { logitScale, logitBias } = own.calibration;
    expect(own.similarity(one, one).logits[0]).toBeCloseTo(Math.exp(logitScale) + logitBias, 4);
  });

  it("takes the place of the checkpoint's scale and bias, in classify and locate", async () => {
    using other = await Siglip.load("demo", { backend: "wasm", calibration: { ...fitted, model } });
    expect(other.calibration.logitScale).toBeCloseTo(3, 12);
    expect(other.calibration.logitBias).toBe(-1.5);
    const again = (logit: number) => {
      const { logitScale, logitBias } = own.calibration;
      return (Math.exp(3) * (logit - logitBias)) / Math.exp(logitScale) - 1.5;
    };
    const cats = example("two-cats.png");
    const labels = ["2 cats", "a plane"];
    const [before, after] = [await own.classify(cats, labels), await other.classify(cats, labels)];
    for (const [index, { label, logit, probability }] of after.entries()) {
      expect(label).toBe(before[index].label);
      expect(logit).toBeCloseTo(again(before[index].logit), 4);
      expect(probability).toBeCloseTo(1 / (1 + Math.exp(-logit)), 6);
    }
    const [[cold], [warm]] = [await own.locate(cats, labels), await other.locate(cats, labels)];
    expect(warm.logit).toBeCloseTo(again(cold.logit), 4);
    await expect(Siglip.load("demo", { backend: "wasm", calibration: {} as typeof fitted })).rejects.toThrow(
      SiglipError,
    );
  });

  it("needs no model's name, and knows a model by its own scale, bias and width", () => {
    expect(apply(fitted)).toMatchObject({ scale: Math.exp(3), bias: -1.5 });
    expect(apply({ ...fitted, model: { ...model, name: "the same by another name" } }).bias).toBe(-1.5);
    for (const change of [
      { logitScale: model.logitScale + 1e-3 },
      { logitBias: model.logitBias - 1e-3 },
      { dim: 768 },
    ]) {
      const wrong = { ...fitted, model: { ...model, ...change, name: "org/other" } };
      expect(() => apply(wrong)).toThrow(/^calibration: wanted one of demo, found one of org\/other; fit one /);
    }
  });

  for (const [what, calibration] of [
    ["no numbers", {}],
    ["a scale that is no number", { logitScale: Number.NaN, logitBias: -1 }],
    ["a scale out of range", { logitScale: 1000, logitBias: -1 }],
    ["a bias that is none", { logitScale: 3, logitBias: Number.POSITIVE_INFINITY }],
    ["a string", "calibration.json"],
    ["null", null],
    ["a model that is not told", { ...fitted, model: {} }],
    ["a model that is null", { ...fitted, model: null }],
  ] as const) {
    it(`is refused for ${what}`, () => {
      expect(() => apply(calibration)).toThrow(/^calibration: wanted [^\n]+\.$/);
    });
  }
});
