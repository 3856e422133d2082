import { readFileSync } from "node:fs";
import { describe, expect } from "vitest";
import { openCheckpoint, readConfig } from "../../src/files/read-model.ts";
import { loadTowers, type Values } from "../../src/model/towers.ts";
import { BACKENDS } from "../harness/backends.ts";
import { openGolden } from "../harness/golden.ts";
import { type Contents, filesOf, safetensors } from "../harness/layouts.ts";
import { writeNpz } from "../harness/npz.ts";
import { compare } from "../judge/compare.ts";
import { asBigVision, asOpenClip, syntheticTensors } from "../judge/layouts.ts";

const clipConfig = new URL("../golden/layouts-base/open_clip_config.json", import.meta.url);
const golden = await openGolden("layouts-base");
const tensors = syntheticTensors(golden.config);

/** Deflating 68 MB takes seconds. */
let deflated: Uint8Array<ArrayBuffer> | undefined;

const LAYOUTS: Record<string, () => Promise<{ contents: Contents; npz?: string }>> = {
  open_clip: async () => ({
    contents: {
      "open_clip_config.json": new Uint8Array(readFileSync(clipConfig)),
      "open_clip_model.safetensors": await safetensors(asOpenClip(tensors)),
    },
  }),
  big_vision: async () => ({
    contents: { "x.npz": writeNpz(asBigVision(tensors, golden.config, false)) },
    npz: "x.npz",
  }),
  "big_vision, stacked and deflated": async () => {
    deflated ??= writeNpz(asBigVision(tensors, golden.config, true), { deflated: true });
    return { contents: { "x.npz": deflated }, npz: "x.npz" };
  },
};

describe("the golden file of layouts-base", () => {
  for (const { name: backendName, golden: bound, test } of BACKENDS) {
    for (const [layout, make] of Object.entries(LAYOUTS)) {
      test(`is held by ${layout} on ${backendName}`, { precision: "f32" }, async (backend) => {
        const { contents, npz } = await make();
        const { files } = filesOf(contents, npz);
        const config = await readConfig(files);
        const { dialect, ...text } = config.text;
        expect({ ...config, text }).toEqual(golden.config);
        expect(dialect).toBe(npz ? "big_vision" : "open_clip");
        const checkpoint = await openCheckpoint(files);
        const towers = await loadTowers(backend, checkpoint, config, { dtype: "f32", towers: ["image", "text"] });
        expect(towers.unused).toEqual([]);
        const hold = async (name: string, { data, shape }: Values) => {
          const expected = await golden.values(name);
          compare(data, expected.data, { shape, label: `${layout} ${name}`, relative: bound });
        };
        let last: Values | undefined;
        const tap = (name: string, values: Values) => {
          if (name === "last_hidden_state") last = values;
        };
        await hold("image_pooled", await towers.image((await golden.values("pixel_values")).data, { tap }));
        await hold("vision_last_hidden_state", last!);
        await hold("text_pooled", await towers.text(await golden.integers("input_ids")));
      });
    }
  }
});
