import { stat } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Tower } from "../model/towers.ts";
import { nodePlatform } from "../node/platform.ts";
import { Siglip } from "../node.ts";
import { BACKEND_NAMES, type BackendName } from "../siglip/backends.ts";
import { bytes } from "../support/units.ts";
import type { WeightDType } from "../tensor/program.ts";
import { readCalibration } from "./calibration.ts";
import { Progress } from "./progress.ts";
import { tell } from "./terminal.ts";

/** What weights can be stored as. */
export const DTYPES = ["f32", "f16", "q8", "i8", "q4"] as const satisfies readonly WeightDType[];

/** Options that every command has which runs a model. */
export interface RunOptions {
  readonly model: string;
  readonly backend: "auto" | BackendName;
  readonly dtype?: WeightDType;
  readonly threads?: number;
  /** False where nothing from a network is to be kept. */
  readonly cache?: boolean;
  readonly json?: boolean;
  readonly maxPixels?: number;
  /** A file that `siglip eval --fit` wrote. */
  readonly calibration?: string;
}

/**
 * Adds what a model needs to run; `--model` is added apart, since the demo is always the same. `pixels` tells the default
 * of `--max-pixels`, which is the caller's where it is another.
 */
export function addRunOptions(command: Command, pixels = "178956970, PIL's limit"): Command {
  return command
    .addOption(
      new Option("--backend <name>", "auto takes a hardware GPU, else WebAssembly")
        .choices(["auto", ...BACKEND_NAMES])
        .default("auto"),
    )
    .addOption(new Option("--dtype <name>", "weights (default: f16, f32 on cpu)").choices(DTYPES))
    .option("--threads <n>", "of the wasm backend (default: the cores, at most 16)", parseCount)
    .option("--max-pixels <n>", `refuse larger pictures (default: ${pixels})`, parseCount)
    .option("--json", "print JSON");
}

/** A whole number from 1. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new InvalidArgumentError("Wanted a whole number from 1.");
}

export function addModelOption(command: Command): Command {
  return addCacheOption(
    command.addOption(
      new Option("--model <model>", "a folder with config.json and the weights, a URL, or org/name of the Hub").default(
        "demo",
        "demo, which knows emoji, not photos",
      ),
    ),
  );
}

/** Adds `--no-cache`, which gives `cache: false`. */
export function addCacheOption(command: Command): Command {
  return command.option("--no-cache", "keep nothing of a model from a server on this machine");
}

/**
 * Loads the towers asked for, or all that there are, with a bar. An abort disposes the model, which ends whatever runs on it.
 */
export async function openModel(
  options: RunOptions,
  towers: readonly Tower[] | undefined,
  signal: AbortSignal,
): Promise<Siglip> {
  const { calibration } = options;
  const fitted = calibration === undefined ? undefined : await readCalibration(calibration, signal);
  const progress = new Progress("loading", signal, 0, bytes);
  const warnings: string[] = [];
  try {
    const model = await Siglip.load(options.model, {
      backend: options.backend,
      dtype: options.dtype,
      calibration: fitted,
      cache: options.cache,
      threads: options.threads,
      towers,
      maxPixels: options.maxPixels,
      signal,
      onProgress: ({ loaded, total, bytesPerSecond }) => progress.update(loaded, total, bytesPerSecond),
      onWarning: (message) => warnings.push(message),
    });
    signal.addEventListener("abort", () => model.dispose());
    return model;
  } finally {
    progress.stop();
    for (const warning of warnings) tell(warning);
  }
}

/** Rejects now, before a model is loaded, for a picture that is certain to fail: a path to nothing or to a folder. */
export async function checkPictures(images: readonly string[]): Promise<void> {
  for (const image of images) {
    if (/^[a-z][a-z0-9+.-]+:/i.test(image)) continue;
    const found = await stat(image).catch(() => undefined);
    if (!found || found.isDirectory()) await nodePlatform.decode(image);
  }
}
