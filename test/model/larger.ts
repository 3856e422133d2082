import { atSize } from "../../src/model/size.ts";
import type { Values } from "../../src/model/towers.ts";
import { BACKENDS } from "../harness/backends.ts";
import { goldenTowers, openGolden } from "../harness/golden.ts";
import { compare } from "../judge/compare.ts";

/** Holds an image tower at another size than its checkpoint's to the golden file on some backends. */
export function holdLarger(names: readonly string[]): void {
  for (const { name, golden: bound, test } of BACKENDS.filter(({ name }) => names.includes(name))) {
    test(`pictures of another size give Hugging Face's tokens on ${name}`, { precision: "f32" }, async (backend) => {
      const golden = await openGolden("layouts-base");
      const { data, shape } = await golden.values("larger_pixel_values");
      const config = atSize(golden.config, [shape[2], shape[3]]);
      const towers = await goldenTowers({ ...golden, config }, backend, "f32");
      let last: Values | undefined;
      const tap = (tapped: string, values: Values) => {
        if (tapped === "last_hidden_state") last = values;
      };
      const pooled = await towers.image(data, { tap });
      for (const [what, actual] of [
        ["larger_last_hidden_state", last!],
        ["larger_image_pooled", pooled],
      ] as const) {
        const expected = await golden.values(what);
        compare(actual.data, expected.data, { shape: expected.shape, label: `${name} ${what}`, relative: bound });
      }
    });
  }
}
