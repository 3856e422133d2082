import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Siglip } from "../../src/node.ts";
import { parseModel } from "../../src/tokenizer/model.ts";
import { SentencePiece } from "../../src/tokenizer/sentencepiece.ts";
import { addedToken, jsonOf, type TokenizerJson } from "../tokenizer/tokenizer-json.ts";
import { writeModel } from "../tokenizer/tokenizer-model.ts";

const file = (name: string) => new Uint8Array(readFileSync(new URL(`../../weights/demo/${name}`, import.meta.url)));
const spiece = file("spiece.model");
const shared = ["config.json", "preprocessor_config.json", "model.safetensors"].map(
  (name) => [name, file(name)] as const,
);
/** Rows of the demo's token table, and pieces of its tokenizer. */
const ROWS = 1400;
const PIECES = 1390;

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** The demo's tokenizer without its last pieces, so that rows of the table are left over. */
const fewer = writeModel({
  charsmap: parseModel(spiece).charsmap,
  pieces: parseModel(spiece)
    .pieces.slice(0, PIECES)
    .map(({ start, end, score, type }) => [Buffer.from(spiece.subarray(start, end)).toString(), score, type]),
});

function fewerJson(...added: TokenizerJson[]): TokenizerJson {
  const value = jsonOf(fewer);
  value.added_tokens.push(...added);
  return json(value);
}

async function load(files: Record<string, Uint8Array>) {
  const warnings: string[] = [];
  const model = await Siglip.load(
    [...shared, ...Object.entries(files)].map(([name, bytes]) => new File([new Uint8Array(bytes)], name)),
    { backend: "cpu", towers: ["text"], onWarning: (message) => warnings.push(message) },
  );
  return { model, warnings };
}

/** Whether a text's embedding is that of these ids, an eos and pads after them. */
async function expectIds(model: Siglip, text: string, ids: number[]): Promise<void> {
  const row = Int32Array.from({ length: 16 }, (_, i) => ids[i] ?? 1);
  const { data } = await model.textTower(row);
  const norm = Math.hypot(...data);
  const found = (await model.embedTexts([text])).data;
  expect(Math.max(...found.map((value, i) => Math.abs(value - data[i] / norm)))).toBeLessThan(1e-6);
}

describe("tokens beyond a tokenizer's pieces", () => {
  const model = SentencePiece.parse(fewer);
  const lower = (text: string) => model.encode(text, 15, false);
  const decoder = {
    added_tokens_decoder: { 0: addedToken(0, "<pad>", { special: true }), [PIECES]: addedToken(0, "<obj>") },
  };

  it.each<[string, Record<string, Uint8Array>, string[], number[]]>([
    [
      "tokenizer_config.json",
      { "spiece.model": fewer, "tokenizer_config.json": json(decoder) },
      ["1391"],
      lower("cat"),
    ],
    [
      "added_tokens.json",
      { "spiece.model": fewer, "tokenizer_config.json": json({}), "added_tokens.json": json({ "<obj>": PIECES }) },
      ["1391"],
      lower("cat"),
    ],
    ["tokenizer.json", { "tokenizer.json": fewerJson(addedToken(PIECES, "<obj>")) }, ["1391"], model.encode("cat")],
    [
      "tokenizer.json, all rows taken",
      {
        "tokenizer.json": fewerJson(
          ...Array.from({ length: 10 }, (_, i) => addedToken(PIECES + i, i ? `<${i}>` : "<obj>")),
        ),
      },
      [],
      model.encode("cat"),
    ],
  ])("give their ids from %s", async (_, files, rows, cat) => {
    const { model: loaded, warnings } = await load(files);
    await expectIds(loaded, "a <obj> cat", [...model.encode("a"), PIECES, ...cat]);
    await expectIds(loaded, "a cat", model.encode("a cat"));
    expect(warnings).toEqual(
      rows.map((ids) => `the list of files: found ${ROWS} rows in the token table for ${ids} ids of the tokenizer.`),
    );
    loaded.dispose();
  });

  it("warn where there are none for rows of the table", async () => {
    for (const files of [{ "spiece.model": fewer }, { "tokenizer.json": fewerJson() }] as Record<
      string,
      Uint8Array
    >[]) {
      const { model: loaded, warnings } = await load(files);
      expect(warnings).toEqual([expect.stringMatching(/found 1400 rows in the token table for 1390 ids/)]);
      loaded.dispose();
    }
  });

  it("are refused where the table has no rows for them", async () => {
    const beyond = addedToken(ROWS, "<obj>");
    const larger = writeModel({
      pieces: [...Array(ROWS + 1)].map((_, i) => [i === 1 ? "</s>" : `p${i}`, -i, i === 1 ? 3 : i === 2 ? 2 : 1]),
    });
    for (const files of [
      { "spiece.model": fewer, "added_tokens.json": json({ "<obj>": ROWS }) },
      { "tokenizer.json": fewerJson(beyond) },
      { "spiece.model": larger },
    ] as Record<string, Uint8Array>[]) {
      await expect(load(files)).rejects.toThrow(
        expect.objectContaining({
          code: "bad-checkpoint",
          message: expect.stringMatching(/at most 1400 ids, .*, found 1401; take/),
        }),
      );
    }
  });

  it("are no special tokens of the vocabulary, which are text wherever they are listed", async () => {
    const { model: loaded } = await load({ "spiece.model": fewer, "tokenizer_config.json": json(decoder) });
    await expectIds(loaded, "a </s> <pad> cat", model.encode("a s pad cat"));
    loaded.dispose();
  });

  it("stand in no damaged file", async () => {
    for (const [name, value, message] of [
      ["tokenizer_config.json", { added_tokens_decoder: 7 }, /added tokens, found none of their forms/],
      ["added_tokens.json", { "<obj>": "1390" }, /ids of added tokens/],
    ] as const) {
      await expect(load({ "spiece.model": fewer, [name]: json(value) })).rejects.toThrow(message);
    }
    await expect(load({})).rejects.toThrow(/wanted spiece.model, tokenizer.model or tokenizer.json .*, found none/);
    await expect(load({ "tokenizer.json": Uint8Array.of(0x7b) })).rejects.toThrow(/^tokenizer.json: wanted JSON/);
  });
});
