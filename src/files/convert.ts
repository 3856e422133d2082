import { encode, type ShardOptions, type WrittenDType, type WrittenFile, writeShards } from "../checkpoint/shards.ts";
import { readParts, type Source } from "../checkpoint/source.ts";
import { parseJson } from "../model/config.ts";
import { HARMLESS, towerOf } from "../model/layouts/hugging-face.ts";
import type { Tower } from "../model/towers.ts";
import { mismatch } from "../support/error.ts";
import type { ModelFiles } from "./model-files.ts";
import { openCheckpoint, readConfig } from "./read-model.ts";

/** How a model is written. */
export interface ConvertOptions extends ShardOptions {
  /** The halves to write; all that the model has by default. */
  readonly towers?: readonly Tower[];
  /** Told of what is odd but harmless. */
  readonly onWarning?: (message: string) => void;
}

/** What a tokenizer may consist of, as Hugging Face names it. */
const TOKENIZER = [
  "spiece.model",
  "tokenizer.model",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
] as const;
/** Those of them that each suffice. */
const WHOLE: readonly string[] = TOKENIZER.slice(0, 3);

const PREPROCESSOR = ["preprocessor_config.json", "processor_config.json"] as const;

/** A file that is copied has at most so many bytes. */
const MOST_COPIED = 2 ** 26;
/** Bytes of it held at a time. */
const PART = 2 ** 22;

const TORCH = { f32: "float32", f16: "float16", bf16: "bfloat16" } as const;
const SECTION = { image: ["vision_config", "Vision"], text: ["text_config", "Text"] } as const;

type Json = Readonly<Record<string, unknown>>;

/**
 * A model of any layout as the files that Hugging Face has of one: `config.json`, what prepares pictures, the
 * tokenizer, and the weights under canonical names in the precision asked for. Each is to be written before the next
 * is asked for. A single tower is written as Hugging Face's class of that tower, which has no `logit_scale`. Rejects
 * with a SiglipError for whatever a load would refuse in headers and configuration, and for a tower that the model
 * lacks.
 */
export async function* convertFiles(files: ModelFiles, options: ConvertOptions = {}): AsyncGenerator<WrittenFile> {
  const { signal, onWarning } = options;
  const config = await readConfig(files, onWarning, signal);
  const towers = options.towers ?? config.towers;
  const lacking = towers.find((tower) => !config.towers.includes(tower));
  if (lacking) {
    const found = `the ${config.towers.join(" and ")} tower only`;
    throw mismatch("bad-input", files.name, `the ${lacking} tower`, found, "ask for what it has");
  }
  const checkpoint = await openCheckpoint(files, signal);
  const alone = config.towers.length > towers.length ? towers[0] : undefined;
  const source = (await files.open("config.json", signal))!;
  const json = parseJson(await source.read(0, source.size, signal), source.name) as Json;
  yield { name: "config.json", chunks: [encode(writtenConfig(json, alone, options.dtype))] };
  if (towers.includes("image")) yield* copies(files, PREPROCESSOR, signal);
  if (towers.includes("text")) {
    let found = false;
    for await (const file of copies(files, TOKENIZER, signal)) {
      found ||= WHOLE.includes(file.name);
      yield file;
    }
    const advice = "put the tokenizer's files beside what is written";
    if (!found) onWarning?.(mismatch("not-found", files.name, WHOLE.join(" or "), "none", advice).message);
  }
  const names = [...checkpoint.tensors.keys()].filter((name) => {
    if (HARMLESS.test(name)) return false;
    return alone === undefined || towerOf(name) === alone;
  });
  yield* writeShards(checkpoint, names, options);
}

async function* copies(files: ModelFiles, names: readonly string[], signal?: AbortSignal): AsyncGenerator<WrittenFile> {
  for (const name of names) {
    const source: Source | undefined = await files.open(name, signal);
    if (!source) continue;
    if (source.size > MOST_COPIED) {
      const found = `${source.size}`;
      throw mismatch("bad-checkpoint", source.name, `at most ${MOST_COPIED} bytes`, found, "name the right model");
    }
    yield { name, chunks: readParts(source, { begin: 0, end: source.size }, PART, signal) };
  }
}

/** The configuration with what has changed: a tower alone, the precision. Keys that nobody knows stay. */
function writtenConfig(config: Json, alone: Tower | undefined, dtype: WrittenDType | undefined): Json {
  if (alone === undefined) return { ...retyped(config, dtype), ...(dtype && { torch_dtype: TORCH[dtype] }) };
  const [section, word] = SECTION[alone];
  const naflex = config.model_type === "siglip2" ? "2" : "";
  return {
    architectures: [`Siglip${naflex}${word}Model`],
    ...retyped((config[section] ?? {}) as Json, dtype),
    model_type: `siglip${naflex}_${word.toLowerCase()}_model`,
    ...(dtype && { torch_dtype: TORCH[dtype] }),
  };
}

/** Precisions that are stated, at the top and of each tower, by the names of older and newer transformers. */
function retyped(config: Json, dtype: WrittenDType | undefined): Json {
  if (!dtype) return config;
  const changed = (section: Json) =>
    Object.fromEntries(
      Object.entries(section).map(([key, value]) => [key, /^(torch_)?dtype$/.test(key) ? TORCH[dtype] : value]),
    );
  const nested = Object.entries(changed(config)).map(([key, value]) => {
    const isSection = key.endsWith("_config") && typeof value === "object" && value !== null;
    return [key, isSection ? changed(value as Json) : value];
  });
  return Object.fromEntries(nested);
}
