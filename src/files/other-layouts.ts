import { composedSource } from "../checkpoint/composed.ts";
import { readNpz } from "../checkpoint/npz.ts";
import { readHeader } from "../checkpoint/read-safetensors.ts";
import { bytesSource, type FileSize, type Source } from "../checkpoint/source.ts";
import { fromBigVision, isParameter, withoutParams } from "../model/layouts/big-vision.ts";
import { bigVisionConfig } from "../model/layouts/big-vision-config.ts";
import { fromTimm } from "../model/layouts/timm.ts";
import { timmConfig } from "../model/layouts/timm-config.ts";
import type { WrittenConfig } from "../model/layouts/written-config.ts";
import { mismatch } from "../support/error.ts";
import type { ModelFiles } from "./model-files.ts";

/** What is read of files to find their layout. */
type Found = Pick<ModelFiles, "name" | "npz" | "open">;

const CONFIG = "open_clip_config.json";

/** What it may have at most, in bytes. */
const MOST_CONFIG = 2 ** 20;

/**
 * The files that Hugging Face would have of a model of another layout, by name, made as they are read; undefined
 * where the layout is none that is known. Only headers are read.
 */
export async function readOther(files: Found, signal?: AbortSignal): Promise<Map<string, Source> | undefined> {
  return files.npz === undefined ? readOpenClip(files, signal) : readBigVision(files, files.npz, signal);
}

async function readBigVision(files: Found, npz: string, signal?: AbortSignal): Promise<Map<string, Source>> {
  const source = await files.open(npz, signal);
  if (!source) throw mismatch("not-found", files.name, `the file ${npz}`, "none", "check its name");
  const arrays = withoutParams(await readNpz(source, isParameter, signal));
  // The configuration first: of something else than SigLIP it names what is missing.
  const written = bigVisionConfig(arrays, source.name, npz);
  const weights = composedSource(source.name, fromBigVision(arrays, source));
  const own = { name: npz, size: source.size };
  return made(written, weights, { config: own, weights: own });
}

async function readOpenClip(files: Found, signal?: AbortSignal): Promise<Map<string, Source> | undefined> {
  const config = await files.open(CONFIG, signal);
  if (!config) return undefined;
  if (config.size > MOST_CONFIG) {
    const advice = "fetch the file again";
    throw mismatch("bad-checkpoint", config.name, `at most ${MOST_CONFIG} bytes`, `${config.size}`, advice);
  }
  const json = parse(new TextDecoder().decode(await config.read(0, config.size, signal)), config.name);
  const [first, second] = ["open_clip_model.safetensors", "model.safetensors"];
  let name = first;
  let source = await files.open(first, signal);
  if (!source) {
    name = second;
    source = await files.open(second, signal);
  }
  if (!source) {
    const advice = "fetch the model's weights as safetensors";
    throw mismatch("bad-checkpoint", files.name, `${first} or ${second}`, "neither", advice);
  }
  const tensors = fromTimm((await readHeader(source, signal)).tensors, source);
  const written = timmConfig(json, tensors, config.name);
  return made(written, composedSource(source.name, tensors), {
    config: { name: CONFIG, size: config.size },
    weights: { name, size: source.size },
  });
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw mismatch("bad-checkpoint", name, "JSON", "text that is none", "fetch the file again", cause);
  }
}

function made(
  { config, preprocessor }: WrittenConfig,
  weights: Source,
  from: Readonly<Record<"config" | "weights", FileSize>>,
): Map<string, Source> {
  const json = (value: object, name: string) => {
    const source = bytesSource(new TextEncoder().encode(JSON.stringify(value, undefined, 2)), name);
    return { ...source, from: from.config };
  };
  const name = `${from.config.name} as config.json`;
  return new Map<string, Source>([
    ["config.json", json(config, name)],
    ["preprocessor_config.json", json(preprocessor, name)],
    ["model.safetensors", Object.assign(weights, { from: from.weights })],
  ]);
}
