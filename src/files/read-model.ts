import { Checkpoint, parseIndex } from "../checkpoint/checkpoint.ts";
import type { Source } from "../checkpoint/source.ts";
import { parseConfig, parseJson, type SiglipConfig } from "../model/config.ts";
import { NORMS, PREFIX } from "../model/layouts/hugging-face.ts";
import { Section } from "../model/section.ts";
import { mismatch } from "../support/error.ts";
import { collect } from "../support/numbers.ts";
import { type LoadProgress, reporter } from "../support/progress.ts";
import type { ModelFiles } from "./model-files.ts";

/** A tokenizer's file is at most this large; SigLIP 2's tokenizer.json has 34 MB. */
export const TOKENIZER_LIMIT = 64 * 2 ** 20;

/**
 * `config.json` and, where there is one, `preprocessor_config.json`, or what `processor_config.json` says of pictures,
 * which is where transformers 5 puts it.
 */
export async function readConfig(
  files: ModelFiles,
  onWarning?: (message: string) => void,
  signal?: AbortSignal,
): Promise<SiglipConfig> {
  const config = await readJson(files, "config.json", signal);
  if (config === undefined) {
    throw mismatch("not-found", files.name, "config.json", "none", "name the folder of a SigLIP model");
  }
  const preprocessor =
    (await readJson(files, "preprocessor_config.json", signal)) ??
    ((await readJson(files, "processor_config.json", signal)) as Json)?.image_processor;
  const { tower = config, classes } = isClassifier(config)
    ? (await import("../model/classes.ts")).parseClassifier(new Section("config.json", config))
    : {};
  const parsed = parseConfig(tower, preprocessor);
  if (preprocessor === undefined && parsed.towers.includes("image")) {
    const scaling = "pictures are scaled as SigLIP 1 does, which is wrong for SigLIP 2";
    onWarning?.(`${files.name}: found no preprocessor_config.json; ${scaling}.`);
  }
  return classes ? { ...parsed, classes } : parsed;
}

type Json = Readonly<Record<string, unknown>> | null | undefined;

/** Whether Hugging Face's class is one with a head over the image tower alone. */
function isClassifier(config: unknown): boolean {
  const names = (config as Json)?.architectures;
  return Array.isArray(names) && names.some((name) => typeof name === "string" && /ForImageClass/.test(name));
}

/**
 * The weights: `model.safetensors`, or the shards that `model.safetensors.index.json` names. Only headers are read.
 * Tensors have the names of Hugging Face's classes, whatever stands before them in the files.
 */
export async function openCheckpoint(files: ModelFiles, signal?: AbortSignal): Promise<Checkpoint> {
  const checkpoint = await openFiles(files, signal);
  if (NORMS.some((name) => checkpoint.tensors.has(name))) return checkpoint;
  const { canonicalNames } = await import("../model/layouts/prefixes.ts");
  return checkpoint.renamed(canonicalNames(checkpoint.tensors.keys(), PREFIX));
}

async function openFiles(files: ModelFiles, signal?: AbortSignal): Promise<Checkpoint> {
  const single = await files.open("model.safetensors", signal);
  if (single) return Checkpoint.open([single], undefined, signal);
  const list = await files.open("model.safetensors.index.json", signal);
  if (!list) {
    throw mismatch(
      "bad-checkpoint",
      files.name,
      "model.safetensors or model.safetensors.index.json",
      "neither",
      "fetch the model's weights",
    );
  }
  const index = parseIndex(new TextDecoder().decode(await readAll(list, 2 ** 24, signal)), list.name);
  const shards: Source[] = [];
  for (const file of index.files) {
    const shard = await files.open(file, signal);
    if (!shard) throw mismatch("bad-checkpoint", files.name, `the shard ${file}`, "none", "fetch the model again");
    shards.push(shard);
  }
  return Checkpoint.open(shards, index, signal);
}

/**
 * A SentencePiece model's file in SigLIP and in SigLIP 2. The first that there is counts, and before tokenizer.json.
 */
export const TOKENIZER_MODELS: readonly string[] = ["spiece.model", "tokenizer.model"];

/** The bytes of the SentencePiece model's file; undefined where there is none. */
export async function readTokenizer(
  files: ModelFiles,
  signal?: AbortSignal,
  onProgress?: (progress: LoadProgress) => void,
): Promise<Uint8Array | undefined> {
  for (const file of TOKENIZER_MODELS) {
    const source = await files.open(file, signal);
    if (source) return readAll(source, TOKENIZER_LIMIT, signal, onProgress);
  }
  return undefined;
}

/**
 * The JSON of a file of at most `limit` bytes (1 MiB by default); undefined where the model has none of that name.
 */
export async function readJson(
  files: ModelFiles,
  file: string,
  signal?: AbortSignal,
  limit = 2 ** 20,
  onProgress?: (progress: LoadProgress) => void,
): Promise<unknown> {
  const source = await files.open(file, signal);
  return source && parseJson(await readAll(source, limit, signal, onProgress), source.name, limit);
}

async function readAll(
  source: Source,
  limit: number,
  signal?: AbortSignal,
  onProgress?: (progress: LoadProgress) => void,
): Promise<Uint8Array> {
  const { name, size } = source;
  if (size > limit) {
    throw mismatch("bad-checkpoint", name, `at most ${limit} bytes`, `${size}`, "name the right file");
  }
  if (!source.stream || !onProgress) return source.read(0, size, signal);
  const report = reporter(onProgress, "download", name);
  return collect(source.stream(0, size, signal), size, (arrived) => report(arrived, size));
}
