import { expect, it } from "vitest";
import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { parseConfig } from "../../src/model/config.ts";
import { loadTowers } from "../../src/model/towers.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import type { WeightSpec } from "../../src/tensor/packing.ts";
import { syntheticSource } from "../judge/synthetic.ts";

/** The text tower's table in SigLIP 2's so400m: 1.2 GB. Of the rest as little as there may be. */
const config = parseConfig({
  model_type: "siglip",
  text_config: {
    vocab_size: 256_000,
    hidden_size: 1152,
    intermediate_size: 1,
    num_hidden_layers: 1,
    num_attention_heads: 16,
    max_position_embeddings: 16,
    projection_size: 12,
  },
  vision_config: { hidden_size: 12, num_attention_heads: 1, intermediate_size: 1, num_hidden_layers: 1 },
});
const ROW = 4 * 1152;
const TABLE = 256_000 * ROW;

it("the token table of 1.2 GB is read by rows, and goes to no device", async () => {
  const source = syntheticSource(config);
  let bytes = 0;
  const counted = {
    name: source.name,
    size: source.size,
    read(offset: number, length: number, signal?: AbortSignal) {
      bytes += length;
      return source.read(offset, length, signal);
    },
  };
  const uploaded: WeightSpec[] = [];
  const backend = new (class extends CpuBackend {
    override weight(...args: Parameters<CpuBackend["weight"]>): Promise<void> {
      uploaded.push(args[0]);
      return super.weight(...args);
    }
  })();
  const weights = await Checkpoint.open([counted]);
  const towers = await loadTowers(backend, weights, config, { dtype: "f32", towers: ["text"] });
  const others = [...weights.tensors.values()].reduce((sum, { name, begin, end }) => {
    return /^text_model\.(?!embeddings\.token)|^logit/.test(name) ? sum + end - begin : sum;
  }, 0);
  expect(source.size).toBeGreaterThan(TABLE);
  // The header, and what the tower is made of.
  expect(bytes).toBeLessThan(others + 2 ** 17);
  expect(uploaded.length).toBeGreaterThan(3);
  expect(uploaded.filter(({ name, shape }) => /token/.test(name) || shape.includes(256_000))).toEqual([]);

  const before = bytes;
  const ids = Int32Array.of(255_999, 17, 128_000, 17, 1, ...new Array(11).fill(0));
  await towers.text(ids);
  expect(bytes - before).toBe(5 * ROW);
  await towers.text(ids);
  expect(bytes - before).toBe(5 * ROW);
  backend.dispose();
});
