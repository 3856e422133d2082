import { readFileSync } from "node:fs";
import { deflateSync } from "node:zlib";
import { type DType, encodeHeader } from "../../src/checkpoint/safetensors.ts";
import { chunk, exif, png, withSegment } from "../harness/pictures.ts";
import { addedToken, jsonOf } from "../tokenizer/tokenizer-json.ts";
import { readModel, writeModel } from "../tokenizer/tokenizer-model.ts";
import { join } from "./random.ts";

const fixture = (path: string) => new Uint8Array(readFileSync(new URL(`../fixtures/${path}`, import.meta.url)));

/**
 * A picture of 5 x 4 in every colour type, depth and interlacing of the PNG specification, and some of the fixtures.
 */
export const PNGS: readonly Uint8Array[] = [
  ...[
    [0, 1, 1],
    [0, 2, 1],
    [0, 4, 1],
    [0, 8, 1],
    [0, 16, 2],
    [2, 8, 3],
    [2, 16, 6],
    [3, 1, 1],
    [3, 4, 1],
    [3, 8, 1],
    [4, 8, 2],
    [4, 16, 4],
    [6, 8, 4],
    [6, 16, 8],
  ].flatMap(([colourType, depth, bytesPerPixel]) =>
    [0, 1].map((interlace) => picture(colourType, depth, bytesPerPixel, interlace)),
  ),
  fixture("images/two-2x3.png"),
  fixture("images/palette-transparent-P.png"),
];

function picture(colourType: number, depth: number, bytesPerPixel: number, interlace: number): Uint8Array {
  // More rows than 5 x 4 pixels need in either interlacing: what is left over is ignored.
  const stride = 1 + Math.ceil((5 * bytesPerPixel * Math.min(depth, 8)) / 8);
  const rows = Uint8Array.from({ length: 12 * stride }, (_, i) => (i % stride === 0 ? 0 : 37 * i));
  const before = [
    ...(colourType === 3
      ? [
          chunk(
            "PLTE",
            Uint8Array.from({ length: 48 }, (_, i) => 5 * i),
          ),
        ]
      : []),
    chunk("eXIf", exif(1 + (depth % 8))),
  ];
  return new Uint8Array(png({ width: 5, height: 4, depth, colourType, interlace, before, idat: [deflateSync(rows)] }));
}

export const JPEGS: readonly Uint8Array[] = [
  ...[
    "baseline-420",
    "baseline-422-restart",
    "cmyk-420",
    "cmyk-progressive",
    "gray",
    "progressive-420",
    "rgb",
    "ycck-420",
  ].map((name) => fixture(`jpeg/${name}.jpg`)),
  withSegment(fixture("jpeg/baseline-420.jpg"), 0xe1, join(new TextEncoder().encode("Exif\0\0"), exif(6, false))),
];

const letters = ["a", "b", "c", "ab", "abc", "▁", "▁a", "é", "東", "ca"].map((text, i) => [text, -i / 3, 1] as const);
const specials = [
  ["<unk>", 0, 2],
  ["</s>", 0, 3],
] as const;
const others = [
  ["bc", 0, 4],
  ["  ", 0, 4],
  ["abca", -1, 5],
] as const;
const bytePieces = Array.from(
  { length: 256 },
  (_, i) => [`<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`, 0, 6] as const,
);

/** The rule a -> bc, in SentencePiece's trie of units: the root, and a leaf below the edge `a`. */
const rules = new Uint8Array(4 + 4 * 512 + 4);
const units = new DataView(rules.buffer);
units.setUint32(0, 4 * 512, true);
units.setUint32(4 + 4 * 0x61, 0x61 | 0x100 | ((0x61 ^ 0x100) << 10), true);
units.setUint32(4 + 4 * 0x100, 0x80000000, true);
rules.set(new TextEncoder().encode("bc\0"), 4 + 4 * 512);

export const MODELS: readonly Uint8Array[] = (["unigram", "bpe"] as const).flatMap((algorithm) => [
  writeModel({ algorithm, pieces: [...specials, ...letters] }),
  writeModel({ algorithm, pieces: [...specials, ...letters, ...others], removeExtraWhitespaces: false }),
  writeModel({
    algorithm,
    pieces: [...specials, ...letters, ...others],
    charsmap: rules,
    treatWhitespaceAsSuffix: true,
  }),
  writeModel({ algorithm, pieces: [...specials, ...letters, ...bytePieces], byteFallback: true }),
]);
/** Those of them that tokenizer.json can describe, as Hugging Face's converters do. */
export const TOKENIZERS: readonly unknown[] = [MODELS[0], MODELS[1], MODELS[4], MODELS[7]].map((bytes) =>
  jsonOf(bytes),
);
/** Tokens beside them, in the forms of tokenizer_config.json and added_tokens.json. */
export const ADDED: readonly unknown[] = [
  { 0: addedToken(0, "<unk>", { special: true }), 300: addedToken(0, "abc", { lstrip: true, single_word: true }) },
  { "<obj>": 300, "<o": 301, ["__proto__"]: 302 },
];
/** Trained ones, with 300 kB of rules and 1,000 pieces: seldom, for they are slow to read. */
export const TRAINED: readonly Uint8Array[] = [readModel("t5-like"), readModel("gemma-like")];

type Tensors = readonly (readonly [name: string, dtype: DType, shape: readonly number[]])[];

const CHECKPOINTS: readonly Tensors[] = [
  [
    ["vision_model.embeddings.patch_embedding.weight", "F32", [2, 3, 2]],
    ["text_model.head.bias", "F16", [5]],
    ["logit_scale", "BF16", [1]],
    ["position_ids", "I64", [1, 3]],
  ],
  [
    ["a", "F64", []],
    ["empty", "U8", [0, 7]],
    ["b", "BOOL", [3]],
    ["c", "F8_E4M3", [2, 2]],
  ],
  [],
];

/** Headers as JSON values, and how many bytes of data they describe. */
export const HEADERS: readonly { header: unknown; data: number }[] = CHECKPOINTS.map((tensors) => {
  const list = tensors.map(([name, dtype, shape]) => ({ name, dtype, shape }));
  const header = JSON.parse(new TextDecoder().decode(encodeHeader(list, [["format", "pt"]]).subarray(8)));
  return { header, data: Math.max(0, ...list.map(({ name }) => header[name].data_offsets[1])) };
});

const json = (path: string): unknown => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), "utf8"));

const demo = json("../weights/demo/config.json") as Readonly<Record<"vision_config", object>>;
export const CONFIGS = ["tiny-hd72", "tiny-ragged", "so400m-384", "tiny-giant"]
  .map((name) => json(`golden/${name}/config.json`))
  .concat(demo, { model_type: "siglip" })
  .concat({ ...demo.vision_config, model_type: "siglip_vision_model" })
  .concat({
    ...demo,
    architectures: ["SiglipForImageClassification"],
    id2label: { 0: "a", 1: "b", 2: "c" },
    problem_type: "multi_label_classification",
  });
export const PREPROCESSORS = [
  json("../weights/demo/preprocessor_config.json"),
  {},
  { size: 24, resample: 2, do_normalize: false },
];
