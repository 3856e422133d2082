import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Siglip } from "../../src/node.ts";
import { composeScene, cutEmoji } from "../harness/scenes.ts";

/** Scenes of two emoji each. */
const SCENES = 25;

/** The same numbers from 0 to 1 in every run. */
function numbers(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("where is it?", () => {
  let model: Siglip;
  let emoji: Awaited<ReturnType<typeof cutEmoji>>;
  beforeAll(async () => {
    model = await Siglip.load("demo", { backend: "wasm", dtype: "f32" });
    emoji = await cutEmoji();
  });
  afterAll(() => model.dispose());

  it("finds what is named in scenes of the demo's emoji, at least 8 of 10", async () => {
    expect(emoji.length).toBeGreaterThan(30);
    const random = numbers();
    let hits = 0;
    for (let scene = 0; scene < SCENES; scene++) {
      const { pixels, things } = composeScene(emoji, 2, random);
      const names = things.map(({ name }) => name);
      const maps = await model.locate(pixels, names, { templates: ["a photo of a {label}"] });
      for (const [index, { label, shape, data, hottest, logit }] of maps.entries()) {
        const [left, top, width, height] = things[index].box;
        expect(label).toBe(names[index]);
        expect(shape).toEqual([8, 8]);
        expect(data[hottest[0] * 8 + hottest[1]]).toBe(Math.max(...data));
        expect(Number.isFinite(logit)).toBe(true);
        const [y, x] = hottest.map((cell) => (cell + 0.5) * 14);
        if (x >= left && x < left + width && y >= top && y < top + height) hits++;
      }
    }
    console.info(`locate: the hottest cell's middle lies on the emoji named in ${hits} of ${2 * SCENES}`);
    expect(hits / (2 * SCENES)).toBeGreaterThanOrEqual(0.8);
  });

  it("gives the logit of the whole picture beside", async () => {
    const { pixels, things } = composeScene(emoji, 2, numbers());
    const [{ name }] = things;
    const [{ logit }] = await model.locate(pixels, name);
    const [ranked] = await model.classify(pixels, name);
    expect(logit).toBeCloseTo(ranked.logit, 2);
  });

  it("takes what classify takes", async () => {
    const pixels = { width: 1, height: 1, data: new Uint8Array(3) };
    await expect(model.locate(pixels, [])).rejects.toThrow(/classify: wanted/);
    await expect(model.locate(pixels, "a", null as never)).rejects.toThrow("locate: wanted an object of options");
    await expect(model.locate(pixels, "a", { layer: 1 } as object)).rejects.toThrow(
      'locate: wanted options that it knows, found "layer"; choose among templates, maxPatches, signal.',
    );
    await expect(model.locate(pixels, "a", { maxPatches: 9 })).rejects.toThrow("maxPatches: wanted a NaFlex model");
  });
});
