import { execFile } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "vitest";
import { writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { parseConfig } from "../../src/model/config.ts";
import { writeFileAtomic } from "../../src/node/file.ts";
import { syntheticData, syntheticShapes } from "../judge/synthetic.ts";
import { writeModel } from "../tokenizer/tokenizer-model.ts";
import type { Held, Soak } from "./soak-run.ts";

/** A checkpoint of 2.7 MB that is little work: wide towers of one layer, four patches, four ids. */
export async function writeTiny(): Promise<string> {
  const tower = { hidden_size: 128, intermediate_size: 512, num_attention_heads: 2, num_hidden_layers: 1 };
  const config = {
    model_type: "siglip",
    text_config: { ...tower, vocab_size: 16, max_position_embeddings: 4 },
    vision_config: { ...tower, image_size: 28, patch_size: 14 },
  };
  const folder = await mkdtemp(join(tmpdir(), "siglip-soak-"));
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const pieces = ["a", "b", "c", "▁", "ab"].map((text) => [text, -1, 1] as const);
  await writeFile(join(folder, "spiece.model"), writeModel({ pieces: [["<unk>", 0, 2], ["</s>", 0, 3], ...pieces] }));
  const weights = writeSafetensors(syntheticData(syntheticShapes(parseConfig(config))));
  await writeFileAtomic(join(folder, "model.safetensors"), weights);
  return folder;
}

/** Bytes that the heap may grow from sample to sample: the engine's own notes on hot code. Keeping a model's records takes 125,000. */
const HEAP = 50e3;

/**
 * Runs test/long/soak-run.ts and holds that memory is flat over the later half of the rounds and of the embeddings, medians of
 * quarters compared: the device's buffers and the backend's own count exactly, the heap to `HEAP`. Resident memory, which an
 * allocator returns when it likes, grows by less than half of what keeping every round's model would take.
 */
export async function soak(...args: readonly (string | number)[]): Promise<void> {
  const script = fileURLToPath(new URL("soak-run.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--expose-gc", "--import", "tsx", script, ...args.map(String)],
    { maxBuffer: 2 ** 24 },
  );
  const { model, rounds, embeddings }: Soak = JSON.parse(stdout);
  for (const { buffers, backend } of rounds) expect([buffers, backend]).toEqual([0, 0]);
  // The bounds below are of use only beside a model that weighs something.
  if (rounds.length > 0) expect(model).toBeGreaterThan(2e6);
  for (const [what, samples] of Object.entries({ rounds, embeddings })) {
    if (samples.length === 0) continue;
    const quarter = samples.length / 4;
    const grown = growth(samples);
    console.info(...args.slice(0, 1), what, grown);
    expect([grown.buffers, grown.backend]).toEqual([0, 0]);
    expect(grown.heap).toBeLessThan(HEAP * quarter);
    if (rounds.length > 0) expect(grown.resident).toBeLessThan((model * quarter) / 2);
  }
}

/** The median of the last quarter less that of the quarter before it. */
function growth(samples: readonly Held[]): Held {
  const quarter = Math.floor(samples.length / 4);
  const median = (from: number, key: keyof Held) =>
    samples
      .slice(from, from + quarter)
      .map((held) => held[key])
      .sort((a, b) => a - b)[Math.floor(quarter / 2)];
  const { length } = samples;
  const of = (key: keyof Held) => median(length - quarter, key) - median(length - 2 * quarter, key);
  return { heap: of("heap"), resident: of("resident"), buffers: of("buffers"), backend: of("backend") };
}
