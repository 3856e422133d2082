// A big_vision checkpoint in an npz file whose arrays, their headers, the archive's directory and its bytes are not
// what they should be, read as a model is.
import assert from "node:assert/strict";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { anyLayout } from "../../src/files/any-layout.ts";
import { openCheckpoint, readConfig } from "../../src/files/read-model.ts";
import { parseConfig } from "../../src/model/config.ts";
import { npy, tuple, writeZip, type ZipFile } from "../harness/npz.ts";
import { asBigVision, bytesOf, syntheticTensors } from "../judge/layouts.ts";
import { edge, mutateBytes, type Random } from "./random.ts";
import type { Target } from "./targets.ts";

const tower = { hidden_size: 8, intermediate_size: 6, num_attention_heads: 2, num_hidden_layers: 1 };
const config = parseConfig({
  model_type: "siglip",
  vision_config: { ...tower, image_size: 4, patch_size: 2 },
  text_config: { ...tower, vocab_size: 5, max_position_embeddings: 3 },
});
const SEEDS = [false, true].map((stacked) => [...asBigVision(syntheticTensors(config), config, stacked)]);
const DESCRIPTIONS = ["<f8", "<f2", "|V2", "<i4", ">f4", "|O", "|S4", "__proto__"];

function make(random: Random): readonly Uint8Array[] {
  const seed = random.pick(SEEDS);
  const odd = new Set(random.chance(0.7) ? Array.from({ length: random.few() }, () => random.below(seed.length)) : []);
  const deflate = random.chance(0.3);
  const files = seed.flatMap(([name, { shape, data }], index): ZipFile[] => {
    const whole = npy(bytesOf(data), { shape: tuple(shape) });
    const file = { name: `${name}.npy`, data: whole, deflated: deflate && random.chance(0.2) };
    if (!odd.has(index)) return [file];
    const axes = shape.map((axis) => (random.chance(0.4) ? edge(random, axis) : axis));
    switch (random.below(8)) {
      case 0:
        return [];
      case 1:
        return [file, { ...file, name: `${random.pick(seed)[0]}.npy` }];
      case 2:
        return [{ ...file, data: npy(bytesOf(data), { shape: tuple(axes) }) }];
      case 3:
        // Of the size that its shape says, so that the layout has to judge it.
        return [{ ...file, data: npy(new Uint8Array(4 * Math.min(9999, product(axes))), { shape: tuple(axes) }) }];
      case 4:
        return [{ ...file, data: npy(bytesOf(data), { shape: tuple(shape), descr: random.pick(DESCRIPTIONS) }) }];
      case 5:
        return [
          { ...file, claims: { [random.pick(["size", "packed", "offset", "flags"])]: edge(random, whole.length) } },
        ];
      case 6:
        return [{ ...file, wide: true, deflated: true, claims: { size: edge(random, whole.length) } }];
      default:
        return [{ ...file, data: mutateBytes(random, whole, [whole]) }];
    }
  });
  const zip = writeZip(files, { wide: random.chance(0.3) });
  return [random.chance(0.4) ? mutateBytes(random, zip, [zip]) : zip];
}

function product(shape: readonly number[]): number {
  return shape.reduce((product, axis) => product * axis, 1);
}

/** Bytes that a decompressor takes, whatever it inflates. */
const INFLATING = 2 ** 17;

export const npz: Target = {
  name: "npz",
  cases: 250,
  // An array is begun twice, for its header and its values, and each time what it is given may be inflated before anybody asks.
  bound: (length, [file]) => 2 * (1100 * length + INFLATING * Math.min(100, file.length / 200)),
  make,
  async read([file]) {
    const source = bytesSource(file, "x.npz");
    const files = anyLayout({
      name: "x",
      npz: "x.npz",
      open: async (name: string) => (name === "x.npz" ? source : undefined),
      close: async () => {},
    });
    await readConfig(files, () => {});
    const checkpoint = await openCheckpoint(files);
    return async () => {
      for (const { name, shape } of checkpoint.tensors.values()) {
        const values = await checkpoint.read(name);
        assert(values.length === product(shape) && values.length <= 1032 * file.length);
      }
    };
  },
};
