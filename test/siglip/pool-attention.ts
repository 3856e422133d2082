import { expect } from "vitest";
import { cutPatches } from "../../src/image/cut-patches.ts";
import { attention } from "../../src/siglip/features.ts";
import { BACKENDS } from "../harness/backends.ts";
import { goldenTowers, openGolden } from "../harness/golden.ts";
import { compare } from "../judge/compare.ts";

/** Holds tokens, and what the MAP head attends to, to the golden file on some backends. */
export function holdFeatures(names: readonly string[]): void {
  for (const { name, golden: bound, test } of BACKENDS.filter(({ name }) => names.includes(name))) {
    test(`features and the MAP head's attention are Hugging Face's on ${name}`, {
      precision: "f32",
    }, async (backend) => {
      const golden = await openGolden("layouts-base");
      const operations: number[] = [];
      const run = backend.run.bind(backend);
      backend.run = (program, ...rest) => {
        operations.push(program.operations.length);
        return run(program, ...rest);
      };
      const towers = await goldenTowers(golden, backend, "f32");
      const { data: values } = await golden.values("pixel_values");
      const patches = cutPatches(values, { count: 2, channels: 3, height: 64, width: 64, patch: 16 });
      let query = new Float32Array();
      const parts = await towers.parts();
      const { data } = await parts.probe({ patches }, { tap: (_, { data }) => (query = data.slice(0, 768)) });
      const each = data.length / 2;
      const found = [0, 1].flatMap((i) => [...attention(query, data.subarray(i * each, (i + 1) * each), 12)]);
      const expected = await golden.values("pool_attention");
      const options = { shape: expected.shape, label: `${name} pool_attention`, relative: bound };
      compare(Float32Array.from(found), expected.data, options);

      const last = await golden.values("vision_last_hidden_state");
      const features = await parts.features({ patches }, undefined);
      compare(features.data, last.data, { shape: last.shape, label: `${name} features`, relative: bound });
      await parts.features({ patches }, 1);
      // The embedding, a block of seven operations each, the norm; no block after the layer asked for.
      expect(operations.slice(1)).toEqual([1 + 2 * 7 + 1, 1 + 7]);
    });
  }
}
