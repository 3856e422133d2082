import assert from "node:assert/strict";
import { posix, win32 } from "node:path";
import { checkHeaders } from "../../src/browser/headers.ts";
import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { asTyped, encodeHeader, readHeader, readTensor } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import type { ModelFiles } from "../../src/files/model-files.ts";
import { openCheckpoint, readConfig } from "../../src/files/read-model.ts";
import { exifOrientation } from "../../src/image/exif.ts";
import { checkPixels } from "../../src/image/pixels.ts";
import { pixelValues } from "../../src/image/preprocess.ts";
import { parseJson } from "../../src/model/config.ts";
import { urlFiles } from "../../src/network/urls.ts";
import { decode } from "../../src/node/images/decode.ts";
import { SiglipError } from "../../src/support/error.ts";
import { AddedTokens, readAddedTokens } from "../../src/tokenizer/added-tokens.ts";
import { SentencePiece } from "../../src/tokenizer/sentencepiece.ts";
import { SiglipTokenizer } from "../../src/tokenizer/siglip.ts";
import { readTokenizerJson } from "../../src/tokenizer/tokenizer-json.ts";
import { exif } from "../harness/pictures.ts";
import { mutateJpeg, mutatePng, mutateProtobuf } from "./formats.ts";
import { mutateJson } from "./json.ts";
import { labels } from "./labels.ts";
import { npz } from "./npz.ts";
import { pageCache } from "./page-cache.ts";
import { hubCache } from "./planted.ts";
import { edge, join, mutateBytes, type Random } from "./random.ts";
import { ADDED, CONFIGS, HEADERS, JPEGS, MODELS, PNGS, PREPROCESSORS, TOKENIZERS, TRAINED } from "./seeds.ts";
import { browserCache, browserStorage } from "./stored.ts";
import { tar } from "./tar.ts";

/** A reader of foreign bytes. */
export interface Target {
  readonly name: string;
  /** Cases in `npm test`; the long suite has fifty times as many. */
  readonly cases: number;
  /** Whatever the case, it is never refused. */
  readonly harmless?: true;
  /**
   * Bytes that reading files of `length` bytes in all may allocate, by the reader's doc comment and what the platform
   * adds.
   */
  bound(length: number, files: readonly Uint8Array[]): number;
  make(random: Random): readonly Uint8Array[];
  /**
   * Reads the files. A SiglipError refuses them; else what comes back uses what was read and throws where it does not
   * hold.
   */
  read(files: readonly Uint8Array[]): Promise<() => unknown>;
}

const safetensors: Target = {
  name: "safetensors",
  cases: 2800,
  bound: (length) => 64 * length,
  make(random) {
    const { header, data } = random.pick(HEADERS);
    const json = mutateJson(random, header, ["F32", "U8", "__metadata__"]);
    const rest = new Uint8Array(random.chance(0.1) ? edge(random, data) % 100_000 : data);
    const prefix = new Uint8Array(8);
    const length = random.chance(0.05) ? edge(random, json.length) : json.length;
    new DataView(prefix.buffer).setBigUint64(0, BigInt(length), true);
    if (random.chance(0.02)) prefix[4 + random.below(4)] = random.bits();
    const file = join(prefix, json, rest);
    return [random.chance(0.05) ? mutateBytes(random, file, [file]) : file];
  },
  async read([file]) {
    const source = bytesSource(file);
    const { tensors } = await readHeader(source);
    return async () => {
      const checkpoint = await Checkpoint.open([source]);
      let end = file.length - [...tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0);
      for (const [name, info] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
        assert(info.name === name && info.begin === end);
        end = info.end;
        const count = info.shape.reduce((product, axis) => product * axis, 1);
        assert(asTyped(await readTensor(source, info), info.dtype).length === count);
        if (!["F64", "F32", "F16", "BF16"].includes(info.dtype)) continue;
        assert((await checkpoint.read(name)).length === count);
        let bytes = 0;
        for await (const chunk of checkpoint.rows(name, { chunkBytes: 6 })) bytes += chunk.bytes.length;
        assert(bytes === (info.end - info.begin) / (info.dtype === "F64" ? 2 : 1));
      }
      assert(end === file.length);
    };
  },
};

const SHARDS = new Map(
  [
    ["model-00001-of-00002.safetensors", ["x", "y"]],
    ["model-00002-of-00002.safetensors", ["z"]],
  ].map(([file, names]) => {
    const tensors = Array.from(names, (name) => ({ name, dtype: "F32", shape: [1] }) as const);
    return [file as string, join(encodeHeader(tensors), new Uint8Array(4 * tensors.length))];
  }),
);
const [FIRST, SECOND] = SHARDS.keys();
const INDEX = { metadata: { total_size: 12 }, weight_map: { x: FIRST, y: FIRST, z: SECOND } };

const index: Target = {
  name: "index",
  cases: 2800,
  bound: (length) => 64 * length,
  make: (random) => [mutateJson(random, INDEX, [FIRST, SECOND, "x", "weight_map"])],
  async read([file]) {
    const asked: string[] = [];
    const files = modelFiles(new Map([["model.safetensors.index.json", file], ...SHARDS]), asked);
    try {
      const checkpoint = await openCheckpoint(files);
      return async () => {
        for (const name of checkpoint.tensors.keys()) assert((await checkpoint.read(name)).length === 1);
        assert(checkpoint.tensors.has("x") || checkpoint.tensors.has("z"));
      };
    } finally {
      for (const name of new Set(asked)) await checkInside(name);
    }
  },
};

/** Wherever a model lies, a file asked for by name lies in its folder and in no folder below. */
async function checkInside(name: string): Promise<void> {
  assert(posix.dirname(posix.resolve("/models/one", name)) === "/models/one", `${name} is another folder's`);
  assert(win32.dirname(win32.resolve("C:\\models\\one", name)) === "C:\\models\\one", `${name} is another folder's`);
  const folder = "https://host.example/models/one/";
  const { fetch } = globalThis;
  globalThis.fetch = async (url) => {
    assert(decodeURIComponent(String(url)) === folder + name, `${url} for ${name}`);
    return new Response(undefined, { status: 404 });
  };
  try {
    assert((await urlFiles(new URL(folder)).open(name)) === undefined);
  } finally {
    globalThis.fetch = fetch;
  }
}

function modelFiles(files: ReadonlyMap<string, Uint8Array>, asked: string[] = []): ModelFiles {
  return {
    name: "the model",
    async open(name) {
      asked.push(name);
      const bytes = files.get(name);
      return bytes && bytesSource(bytes, name);
    },
    async close() {},
  };
}

const config: Target = {
  name: "config",
  cases: 2800,
  bound: (length) => 64 * length,
  make(random) {
    const pair = [random.pick(CONFIGS), random.pick(PREPROCESSORS)];
    const changed = random.below(3);
    return pair.map((seed, i) =>
      changed === i ? new TextEncoder().encode(JSON.stringify(seed)) : mutateJson(random, seed, ["siglip", "height"]),
    );
  },
  async read([config, preprocessor]) {
    const files = new Map([
      ["config.json", config],
      ["preprocessor_config.json", preprocessor],
    ]);
    const { towers, vision, text, image, classes } = await readConfig(modelFiles(files));
    return () => {
      assert(towers.length > 0 && towers.every((tower) => tower === "image" || tower === "text"));
      if (classes) assert(classes.labels.length > 0 && classes.labels.every((label) => typeof label === "string"));
      for (const { hidden, mlp, layers, heads, eps } of [vision, text]) {
        for (const count of [hidden, mlp, layers, heads, hidden / heads])
          assert(Number.isSafeInteger(count) && count > 0);
        assert(eps > 0 && eps <= 1);
      }
      assert(vision.tokens === Math.floor(vision.imageSize / vision.patchSize) ** 2 && vision.tokens > 0);
      assert(
        (towers.length === 1 || text.projection === vision.hidden) &&
          image.size.every((side) => side === vision.imageSize) &&
          vision.channels === 3,
      );
      for (const count of [text.vocabulary, text.positions]) assert(Number.isSafeInteger(count) && count > 0);
      if (vision.imageSize > 64) return;
      const values = pixelValues({ width: 1, height: 2, data: Uint8Array.of(0, 9, 99, 128, 254, 255) }, image);
      assert(values.length === 3 * vision.imageSize ** 2 && values.every(Number.isFinite));
    };
  },
};

const TEXTS = ["", " ", "abc ab  a", "東é caabcabca\n", "</s>", "\ud800\0ﬁ", "a".repeat(700), "ﷺ".repeat(50)];

const sentencepiece: Target = {
  name: "sentencepiece",
  cases: 3000,
  bound: (length) => 50 * length,
  make: (random) => [mutateProtobuf(random, random.pick(random.chance(0.02) ? TRAINED : MODELS), MODELS)],
  async read([file]) {
    const model = SentencePiece.parse(file);
    const tokenizer = await SiglipTokenizer.make(model, { length: 16 }).catch((error) => {
      if (!(error instanceof SiglipError)) throw error;
      return undefined;
    });
    return () => {
      for (const text of TEXTS) {
        // Normalisation rules are looked at as they are used.
        const ids = refusable(() => model.encode(text)) ?? [];
        for (const id of ids) assert(Number.isInteger(id) && id >= 0 && id < model.size);
        const row = tokenizer && refusable(() => tokenizer.encode([text]));
        assert(row === undefined || (row.length === 16 && row.every((id) => id >= 0 && id < Math.max(2, model.size))));
      }
    };
  },
};

const tokenizerJson: Target = {
  name: "tokenizer-json",
  cases: 1500,
  bound: (length) => 300 * length,
  make: (random) => [
    mutateJson(random, random.pick(TOKENIZERS), ["BPE", "Unigram", "Metaspace", "Replace", "Precompiled", "▁", "a b"]),
    mutateJson(random, random.pick(ADDED), ["<obj>", "special"]),
  ],
  async read([file, beside]) {
    const { model: proto, added, prefixed } = readTokenizerJson(parseJson(file, "tokenizer.json"));
    const model = new SentencePiece(proto);
    const more = refusable(() => readAddedTokens("added_tokens.json", parseJson(beside, "added_tokens.json"))) ?? [];
    return () => {
      for (const tokens of [new AddedTokens(added, prefixed), new AddedTokens(more, false)]) {
        for (const text of [...TEXTS, "x <obj>abc"]) {
          const ids = refusable(() => tokens.encode(text, 1000, model, (part) => part.toLowerCase())) ?? [];
          for (const id of ids) assert(Number.isInteger(id) && id >= 0 && id < 2 ** 20);
        }
      }
    };
  },
};

/** What `body` gives; undefined where it refuses. */
function refusable<R>(body: () => R): R | undefined {
  try {
    return body();
  } catch (error) {
    if (error instanceof SiglipError) return undefined;
    throw error;
  }
}

async function readPicture([file]: readonly Uint8Array[]): Promise<() => void> {
  refusable(() => checkHeaders(file, "x"));
  const pixels = await decode(file, "x");
  return () => {
    checkPixels(pixels, "what decode gave");
    assert(pixels.width * pixels.height <= 8256 * file.length);
  };
}

function claimedPixels(png: Uint8Array): number {
  if (png.length < 24) return 0;
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  return view.getUint32(16) * view.getUint32(20);
}

const png: Target = {
  name: "png",
  cases: 3000,
  bound: (length, [file]) => 14 * Math.min(8256 * length, claimedPixels(file)) + length,
  make: (random) => [mutatePng(random, random.pick(PNGS), PNGS)],
  read: readPicture,
};

const jpeg: Target = {
  name: "jpeg",
  cases: 1500,
  // A libjpeg that gave up is replaced: 16 MiB of memory to begin with.
  bound: (length) => 22 * 1024 * length + 20 * 2 ** 20,
  make: (random) => [mutateJpeg(random, random.pick(JPEGS), JPEGS)],
  read: readPicture,
};

const headers: Target = {
  name: "headers",
  cases: 1000,
  bound: (length) => 16 * length,
  make(random) {
    const picture = random.chance(0.5)
      ? mutatePng(random, random.pick(PNGS), PNGS)
      : mutateJpeg(random, random.pick(JPEGS), JPEGS);
    return [picture, mutateBytes(random, exif(1 + random.below(8), random.chance(0.5)), PNGS)];
  },
  async read([picture, tiff]) {
    const turn = exifOrientation(tiff);
    assert(turn === undefined || (turn >= 1 && turn <= 8));
    const { parts, orientation } = checkHeaders(picture, "x");
    return () => {
      assert(orientation >= 1 && orientation <= 8);
      assert(parts.reduce((sum, part) => sum + part.length, 0) <= picture.length + 2);
    };
  },
};

export const TARGETS: readonly Target[] = [
  safetensors,
  index,
  config,
  sentencepiece,
  tokenizerJson,
  png,
  jpeg,
  headers,
  hubCache,
  browserStorage,
  browserCache,
  pageCache,
  npz,
  tar,
  labels,
];
