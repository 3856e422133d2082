import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Siglip } from "../../src/siglip/siglip.ts";
import { synthetic } from "../harness/pictures.ts";
import { compare } from "../judge/compare.ts";
import { holdFeatures } from "./pool-attention.ts";
import { syntheticModel } from "./synthetic.ts";

const pictures = [synthetic(60, 40), synthetic(20, 90), synthetic(31, 31)];

describe("features", () => {
  let model: Siglip;
  beforeAll(async () => {
    model = await syntheticModel("tiny-hd72", { resample: 3 });
  });
  afterAll(() => model.dispose());

  it("are any layer's tokens as a grid, the last after the norm by default", async () => {
    const { layers, hidden, tokens } = model.config.vision;
    const side = Math.sqrt(tokens);
    const states = new Map<string, Float32Array>();
    const { size } = model.config.image;
    const pixels = { width: size[1], height: size[0], data: synthetic(size[1], size[0]).data };
    const values = Float32Array.from({ length: pixels.data.length }, (_, i) => {
      const [channel, at] = [Math.floor(i / (size[0] * size[1])), i % (size[0] * size[1])];
      return (pixels.data[3 * at + channel] / 255 - 0.5) / 0.5;
    });
    await model.imageTower(values, { tap: (name, { data }) => states.set(name, data) });
    const closeTo = (found: Float32Array, name: string) =>
      compare(found, states.get(name)!, { shape: [tokens, hidden], label: name, relative: 1e-6 });
    for (let layer = 0; layer <= layers; layer++) {
      const found = await model.features([pixels], { layer });
      expect(found.shape).toEqual([1, side, side, hidden]);
      closeTo(found.data, `hidden_states.${layer}`);
      expect(await model.features([pixels], { layer: layer - layers - 1 })).toEqual(found);
    }
    closeTo((await model.features([pixels])).data, "last_hidden_state");
  });

  it("come in batches, in order", async () => {
    const together = await model.features(pictures, { layer: 1, batch: 3 });
    expect(together.shape[0]).toBe(3);
    expect(await model.features(pictures, { layer: 1, batch: 2 })).toEqual(together);
    expect((await model.features([])).shape).toEqual([0, ...together.shape.slice(1)]);
  });

  it("have no other layer than there is", async () => {
    const { layers } = model.config.vision;
    for (const layer of [layers + 1, -layers - 2, 0.5]) {
      await expect(model.features(pictures, { layer })).rejects.toThrow(
        `layer: wanted a whole number from ${-layers - 1} to ${layers}, found ${layer};`,
      );
    }
    await expect(model.features(pictures, { batch: 0 })).rejects.toThrow("batch: wanted a whole number from 1");
    await expect(model.poolAttention(pictures, { layer: 1 } as object)).rejects.toThrow(
      "poolAttention: wanted options",
    );
  });

  it("of NaFlex pictures have one grid", async () => {
    const naflex = await syntheticModel("tiny-naflex", { max_num_patches: 20 });
    const { shape } = await naflex.features([pictures[2], pictures[2]]);
    expect(shape).toEqual([2, 4, 4, naflex.dim]);
    await expect(naflex.features(pictures)).rejects.toThrow(
      /pictures: wanted pictures of one grid, .* of 4 x 5 patches/,
    );
    expect((await naflex.poolAttention([pictures[0]], { maxPatches: 9 })).shape).toEqual([1, 2, 2, 3]);
    naflex.dispose();
  });
});

holdFeatures(["cpu", "wasm"]);
