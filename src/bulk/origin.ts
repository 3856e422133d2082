import { createHash } from "node:crypto";
import type { ModelFiles } from "../files/model-files.ts";
import { openCheckpoint, readConfig, TOKENIZER_MODELS } from "../files/read-model.ts";
import { type FindOptions, findFiles } from "../node/find.ts";
import type { VectorHeader } from "../search/vectors.ts";
import type { WeightDType } from "../tensor/program.ts";

/** Changes whenever pictures or texts become other values than they did before. */
const VERSION = "1";

/** Of every tensor so many bytes in its middle are looked at, where nothing else tells weights apart. */
const SAMPLE = 256;

/** What decides about embeddings beside what is embedded. */
export interface OriginOptions extends FindOptions {
  /** Of the weights. */
  readonly dtype: WeightDType;
  /** Of a NaFlex model: the most patches of a picture, where it is not what the checkpoint says. */
  readonly maxPatches?: number;
  readonly signal?: AbortSignal;
}

/** What makes embeddings, and how wide they are. */
export interface Provenance {
  readonly origin: VectorHeader["origin"];
  readonly width: number;
}

/**
 * What a model's embeddings are made by, told without its weights being loaded: the model as it was named, its revision,
 * `weights` (a digest of the tensors' names, shapes and samples, where there is no revision), their `dtype`, `config`
 * and `tokenizer` (digests), `image` (preprocessing) and `version` (of this package's arithmetic).
 */
export async function readProvenance(model: string, options: OriginOptions): Promise<Provenance> {
  const { dtype, maxPatches, signal } = options;
  const files = await findFiles(model, options);
  try {
    const { image, ...config } = await readConfig(files, () => {}, signal);
    const processing = image.maxPatches && maxPatches ? { ...image, maxPatches } : image;
    const { version } = files;
    const origin = {
      model,
      ...(version === undefined
        ? { weights: await sampleWeights(files, signal), tokenizer: await sampleTokenizer(files, signal) }
        : { revision: version }),
      dtype,
      config: digest(JSON.stringify(config)),
      image: JSON.stringify(processing),
      version: VERSION,
    };
    const width = config.towers.includes("image") ? config.vision.hidden : config.text.projection;
    return { origin, width };
  } finally {
    await files.close();
  }
}

/** What two headers first differ in, in words; undefined where their embeddings can be compared. */
export function difference(
  wanted: Partial<VectorHeader>,
  found: Partial<VectorHeader>,
): { wanted: string; found: string } | undefined {
  const [one, other] = [facts(wanted), facts(found)];
  // The same weights may lie in several folders.
  if (one.weights !== undefined && one.weights === other.weights) other.model = one.model;
  const name = [...new Set([...Object.keys(one), ...Object.keys(other)])].find((key) => one[key] !== other[key]);
  if (name === undefined) return undefined;
  return { wanted: `embeddings of ${name} ${one[name] ?? "none"}`, found: other[name] ?? "none" };
}

function facts({ width, dtype, origin }: Partial<VectorHeader>): Record<string, string | undefined> {
  return { ...origin, width: String(width), vectors: dtype };
}

async function sampleWeights(files: ModelFiles, signal?: AbortSignal): Promise<string> {
  const { tensors } = await openCheckpoint(files, signal);
  const hash = createHash("sha256");
  for (const { name, dtype, shape, begin, end, source } of [...tensors.values()].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    hash.update(JSON.stringify([name, dtype, shape, source.from?.size ?? source.size]));
    const length = Math.min(SAMPLE, end - begin);
    // What is made from another file may take all of that to be made.
    if (!source.from) hash.update(await source.read(begin + Math.floor((end - begin - length) / 2), length, signal));
  }
  return short(hash);
}

async function sampleTokenizer(files: ModelFiles, signal?: AbortSignal): Promise<string> {
  for (const name of [...TOKENIZER_MODELS, "tokenizer.json"]) {
    const source = await files.open(name, signal);
    if (source) return short(createHash("sha256").update(await source.read(0, source.size, signal)));
  }
  return "none";
}

function digest(text: string): string {
  return short(createHash("sha256").update(text));
}

function short(hash: ReturnType<typeof createHash>): string {
  return hash.digest("hex").slice(0, 16);
}
