import type { ModelFiles } from "../files/model-files.ts";
import { openCheckpoint, readConfig, readJson, readTokenizer, TOKENIZER_LIMIT } from "../files/read-model.ts";
import { MAX_PIXELS, type PictureOptions } from "../image/pixels.ts";
import type { TextConfig } from "../model/config.ts";
import { readValues } from "../model/load-weights.ts";
import { loadTowers, type Tower } from "../model/towers.ts";
import type { NetworkOptions } from "../network/network-files.ts";
import { mismatch } from "../support/error.ts";
import { reporter } from "../support/progress.ts";
import type { OpenedBackend } from "../tensor/open.ts";
import { storedAs, type WeightDType } from "../tensor/program.ts";
import type { Pinned } from "../tensor/webgpu/options.ts";
import type { AddedTokens } from "../tokenizer/added-tokens.ts";
import { SentencePiece } from "../tokenizer/sentencepiece.ts";
import { type Dialect, SiglipTokenizer } from "../tokenizer/siglip.ts";
import { type BackendName, openBackend } from "./backends.ts";
import type { Calibration } from "./calibration.ts";
import type { LoadedModel } from "./loaded.ts";
import { lacksTower, noDtype, noTowers, otherDtype } from "./option-advice.ts";
import { checkLoadOptions } from "./options.ts";
import type { Platform } from "./platform.ts";

/** Options of `Siglip.load`. */
export interface LoadOptions extends NetworkOptions, PictureOptions {
  /** Where the towers run. "auto" (the default) is a hardware WebGPU adapter where there is one, else WebAssembly,
   * else plain loops on the CPU. */
  readonly backend?: "auto" | BackendName;
  /** Precision of the weights on the device: by default "f16", and "f32" on the CPU. */
  readonly dtype?: WeightDType;
  /** How many threads compute on wasm: by default the cores that the machine reports, at most 16. */
  readonly threads?: number;
  /** The halves to load; by default what the checkpoint has, which is both unless it is a tower's alone. */
  readonly towers?: readonly Tower[];
  /**
   * The size that pictures are squashed to where it is not the checkpoint's: [height, width] in pixels, up to 256
   * patches along. The learned positions are interpolated as Hugging Face's `interpolate_pos_encoding` does. Not of
   * NaFlex models.
   */
  readonly size?: readonly [height: number, width: number];
  /** Scale and bias of logits that were fitted to labelled data (`siglip eval --fit`), in place of the checkpoint's own. */
  readonly calibration?: Calibration;
  /** A device of your own for the webgpu backend, which is left alive by `dispose`. */
  readonly device?: GPUDevice;
  /** Kernel forms to use on webgpu instead of those that trials choose: a choice changes last digits, a pin does not. */
  readonly forms?: Pinned;
  /** How texts are canonicalised before tokenisation; by default `hf`, as Hugging Face's tokenizer of the model does. */
  readonly dialect?: Dialect;
  /**
   * Whether weights from a network are kept for the next load, by default true: in a browser in its private file system, in the precision
   * of this load; in Node, Deno and Bun as the server has them, in Hugging Face's cache or, what is not whole, in this package's own.
   */
  readonly cache?: boolean;
  /** Told of what is odd but harmless, such as tensors that nothing uses; `console.warn` by default. */
  readonly onWarning?: (message: string) => void;
  /** Rejects the load with its reason and frees what it took. */
  readonly signal?: AbortSignal;
}

/** Brings a model's files onto a backend. On failure or abort everything that was taken is freed. */
export async function loadModel<Image>(
  found: ModelFiles,
  platform: Platform<Image>,
  options: LoadOptions = {},
): Promise<LoadedModel<Image>> {
  checkLoadOptions(options);
  const { signal, onProgress, onWarning = console.warn, maxPixels, decode } = options;
  if (maxPixels !== undefined || decode) {
    (await import("../image/own-decoder.ts")).checkPictureOptions(options, MAX_PIXELS);
  }
  const { towers: asked = ["image", "text"] } = options;
  const named = Array.isArray(asked) && asked.length > 0 && asked.every((one) => one === "image" || one === "text");
  if (!named) throw noTowers(asked);
  if (!["f32", "f16", "q8", "i8", "q4", undefined].includes(options.dtype)) {
    throw noDtype(options.dtype);
  }
  let opened: OpenedBackend | undefined;
  let files = found;
  try {
    signal?.throwIfAborted();
    const { gpu, withoutGpu, chosenForms } = platform;
    opened = await openBackend(options.backend ?? "auto", {
      ...{ gpu, withoutGpu, chosenForms, threading: platform.threads },
      ...options,
    });
    const { backend, adapter, close } = opened;
    const dtype = options.dtype ?? backend.defaults.dtype;
    if (!backend.dtypes.includes(dtype)) {
      throw otherDtype(backend, dtype);
    }
    // Told only of a model that loads: beside an error they would be noise.
    const warnings: string[] = [];
    let warn = (message: string): void => void warnings.push(message);
    if (options.cache !== false && found.key !== undefined && platform.keep) {
      files = await platform.keep(found, {
        dtype: storedAs(dtype),
        towers: asked,
        onWarning: (message) => warn(message),
        signal,
      });
    }
    const asStored = await readConfig(files, warn, signal);
    const { size } = options;
    const config = size === undefined ? asStored : (await import("../model/size.ts")).atSize(asStored, size);
    const towers = options.towers ?? config.towers;
    const lacking = towers.find((tower) => !config.towers.includes(tower));
    if (lacking) {
      throw lacksTower(files.name, config, lacking);
    }
    const weights = await (files.weights?.(signal) ?? openCheckpoint(files, signal));
    const tokenizer = towers.includes("text") ? await loadTokenizer(files, config.text, options, warn) : undefined;
    let loaded = await loadTowers(backend, weights, config, {
      dtype,
      towers,
      signal,
      onProgress: onProgress && reporter(onProgress, "weights", files.name),
    });
    const { calibration } = options;
    if (calibration) {
      loaded = (await import("./calibration.ts")).calibrated(loaded, files.name, config, calibration);
    }
    const heads = config.classes && (await import("./own-labels.ts")).OwnLabels;
    const own = await heads?.load(config, (name, shape) => readValues(weights, name, shape, { signal }));
    const unused = loaded.unused.filter((name) => !heads?.knows(name));
    if (unused.length > 0) {
      warnings.push(`${files.name}: found tensors that SigLIP has no use for: ${some(unused)}.`);
    }
    for (const message of warnings) onWarning(message);
    warn = onWarning;
    files.afterLoad?.();
    const version = files.version ?? found.version;
    // Texts need rows of the token table; for pictures nothing more is read.
    if (!towers.includes("text")) await files.close();
    return {
      name: files.name,
      config,
      towers: loaded,
      tokenizer,
      own,
      platform,
      pictures: { maxPixels, decode },
      backend,
      adapter,
      dtype,
      version,
      async reload() {
        if (options.device) {
          const advice = "load the model again with a new one";
          throw mismatch("device-lost", "device", "the GPUDevice given to Siglip.load", "that it was lost", advice);
        }
        // What was asked of the first load, its signal among it, is long settled; warnings have been told.
        return loadModel(found, platform, {
          ...options,
          backend: backend.name as BackendName,
          dtype,
          signal: undefined,
          onProgress: undefined,
          onWarning: () => {},
        });
      },
      async free() {
        close();
        await files.close();
      },
    };
  } catch (error) {
    opened?.close();
    await files.close();
    throw error;
  }
}

async function loadTokenizer(
  files: ModelFiles,
  { positions, vocabulary, dialect: own }: TextConfig,
  { dialect = own, signal, onProgress }: LoadOptions,
  onWarning: (message: string) => void,
): Promise<SiglipTokenizer> {
  const bytes = await readTokenizer(files, signal, onProgress);
  let model = bytes && SentencePiece.parse(bytes);
  let added: AddedTokens | undefined;
  if (model?.size !== vocabulary) {
    // A chunk of its own in a bundle: tokenizer.json, and tokens that were added to a vocabulary.
    const { readRareTokenizer } = await import("../files/read-tokenizer.ts");
    const rare = await readRareTokenizer({
      name: files.name,
      vocabulary,
      pieces: model?.size,
      read: (file) => readJson(files, file, signal, TOKENIZER_LIMIT, onProgress),
      onWarning,
    });
    model ??= new SentencePiece(rare.model!);
    added = rare.added;
  }
  return SiglipTokenizer.make(model, { length: positions, dialect, added });
}

function some(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
