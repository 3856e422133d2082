import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { asTyped, readHeader, readTensor, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { parseConfig, parseJson } from "../../src/model/config.ts";
import { syntheticData, syntheticShapes, syntheticSource, syntheticTensor } from "../judge/synthetic.ts";

const golden = (name: string, file: string) =>
  readFile(fileURLToPath(new URL(`../golden/${name}/${file}`, import.meta.url)));
const configOf = async (name: string) =>
  parseConfig(parseJson(await golden(name, "config.json"), `${name}/config.json`));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

// Of the whole file. Every tensor in them was equal, bit by bit, to an independent implementation of the rule in NumPy.
const hashes = {
  "tiny-giant": "91c41dc87f5481fcc33f1e5e20b2e9b70767e2201ab558e660e00ba5b60d0309",
  "tiny-hd64": "2a6270242c081ad481ac0472a16d6f39d9d483a99a4c2263f53de7b068c185c9",
  "tiny-hd72": "46e6a75c08955dd70f288c5185ba5c253ae7f8d7ed841487fadc1cbaf91c353b",
  "tiny-ragged": "69fe3e773adc53659c9bfc7d1189a14fa2e3f5eb8877dbf7d142d449588054a4",
};

describe("synthetic weights", () => {
  for (const [name, hash] of Object.entries(hashes)) {
    it(`of ${name} have not changed`, async () => {
      const source = syntheticSource(await configOf(name));
      expect(sha256(await source.read(0, source.size))).toBe(hash);
    });

    it(`of ${name} give the golden text embeddings`, async () => {
      const config = await configOf(name);
      const file = bytesSource(await golden(name, "golden.safetensors"));
      const { tensors } = await readHeader(file);
      const integers = async (tensor: string) => asTyped(await readTensor(file, tensors.get(tensor)!), "I64");
      const checkpoint = await Checkpoint.open([syntheticSource(config)]);
      const words = await checkpoint.read("text_model.embeddings.token_embedding.weight");
      const positions = await checkpoint.read("text_model.embeddings.position_embedding.weight");
      const { hidden, positions: length } = config.text;
      const ids = await integers("input_ids");
      const kept = await integers("text_tokens");
      const hiddenStates = await Checkpoint.open([file]).then((c) => c.read("text_hidden_states"));
      const embedded: number[] = [];
      for (let text = 0; text * length < ids.length; text++) {
        for (const at of Array.from(kept, Number)) {
          const id = Number(ids[text * length + at]);
          for (let i = 0; i < hidden; i++)
            embedded.push(Math.fround(words[id * hidden + i] + positions[at * hidden + i]));
        }
      }
      expect(hiddenStates.subarray(0, embedded.length)).toEqual(new Float32Array(embedded));
    });
  }

  it("have the shapes of so400m: 878 million parameters in 3.5 GB", async () => {
    const config = await configOf("so400m-384");
    const shapes = syntheticShapes(config);
    expect(shapes.size).toBe(888);
    expect([...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(877_960_498);
    const source = syntheticSource(config);
    expect(source.size).toBe(3_511_950_632);
    expect((await readHeader(source)).tensors.size).toBe(888);
  });

  it("are the same in parts, at any byte range", async () => {
    const shape = [37, 3, 5];
    const whole = syntheticTensor("text_model.encoder.layers.1.mlp.fc2.bias", shape);
    expect(syntheticTensor("text_model.encoder.layers.1.mlp.fc2.bias", shape, 7, 20)).toEqual(whole.subarray(105, 300));
    const source = syntheticSource(await configOf("tiny-ragged"));
    const bytes = await source.read(0, source.size);
    for (let offset = 0; offset < source.size; offset += 49_999) {
      for (const length of [0, 1, 2, 3, 4, 5, 7001].filter((length) => offset + length <= source.size)) {
        expect(Buffer.compare(await source.read(offset, length), bytes.subarray(offset, offset + length))).toBe(0);
      }
    }
  });

  it("are written as they are read", async () => {
    const config = await configOf("tiny-ragged");
    const source = syntheticSource(config);
    const hash = createHash("sha256");
    for await (const chunk of writeSafetensors(syntheticData(syntheticShapes(config)), [["format", "pt"]]))
      hash.update(chunk);
    expect(hash.digest("hex")).toBe(sha256(await source.read(0, source.size)));
  });

  it("carry the values that the rule names", () => {
    expect(syntheticTensor("logit_scale", [1])).toEqual(new Float32Array([4.7]));
    expect(syntheticTensor("logit_bias", [1])).toEqual(new Float32Array([-16.5]));
    expect(syntheticTensor("vision_model.post_layernorm.weight", [100])[33]).toBe(Math.fround(0.05));
    const [massive, plain] = [1, 0].map((layer) =>
      syntheticTensor(`text_model.encoder.layers.${layer}.mlp.fc2.bias`, [100]),
    );
    expect(massive[33]).toBeGreaterThan(299);
    expect(Math.max(...plain, ...massive.subarray(34))).toBeLessThan(1);
  });
});
