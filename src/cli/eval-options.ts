import { type Command, InvalidArgumentError, Option } from "commander";
import { checkWritable } from "../node/file.ts";
import { BACKEND_NAMES, type BackendName } from "../siglip/backends.ts";
import type { WeightDType } from "../tensor/program.ts";
import { addCalibrationOption } from "./calibration.ts";
import { addModelOption, DTYPES, parseCount, type RunOptions } from "./model.ts";

/** Options of every kind of `siglip eval`. */
export interface EvalOptions extends Omit<RunOptions, "backend" | "dtype"> {
  /** A folder that pictures' paths begin in. */
  readonly images?: string;
  readonly backend: readonly ("auto" | BackendName)[];
  readonly dtype?: readonly WeightDType[];
  readonly batch?: number;
  readonly resamples: number;
  readonly seed: number;
  readonly csv?: boolean;
  /** A file for a calibration. */
  readonly fit?: string;
  /** The share of pairs that match, for the calibration. */
  readonly prior?: number;
}

/** Adds those that both kinds have. */
export function addEvalOptions(command: Command): Command {
  command
    .option("--images <folder>", "where pictures' paths begin (default: beside the data)")
    .addOption(
      new Option("--backend <name...>", "one or several, side by side; auto takes a hardware GPU, else WebAssembly")
        .choices(["auto", ...BACKEND_NAMES])
        .default(["auto"], "auto"),
    )
    .addOption(new Option("--dtype <name...>", "weights, likewise (default: f16, f32 on cpu)").choices(DTYPES))
    .option("--threads <n>", "of the wasm backend (default: the cores, at most 16)", parseCount)
    .option("--batch <n>", "pictures at a time (default: what suits the backend)", parseCount)
    .option("--max-pixels <n>", "leave out larger pictures (default: 178956970, PIL's limit)", parseCount)
    .option("--resamples <n>", "draws of the bootstrap", parseDraws, 1000)
    .option("--seed <n>", "of these draws", parseCount, 1)
    .option("--fit <file>", "fit logit_scale and logit_bias to these data and write them for --calibration")
    .option("--prior <share>", "fit as if so many of all pairs were true (default: as in the data)", parseShare)
    .addOption(new Option("--csv", "print CSV").conflicts("json"))
    .option("--json", "print JSON");
  return addModelOption(addCalibrationOption(command));
}

/** Every draw of every figure is held, and takes as long as there are pictures. */
function parseDraws(text: string): number {
  const draws = parseCount(text);
  if (draws <= 1e6) return draws;
  throw new InvalidArgumentError("Wanted a whole number from 1 to 1000000.");
}

function parseShare(text: string): number {
  const share = Number(text);
  if (share > 0 && share < 1) return share;
  throw new InvalidArgumentError("Wanted a number between 0 and 1.");
}

/** Ends with exit code 2 for options that do not go together, and rejects for a file that could not be written. */
export async function checkEvalOptions(command: Command, { fit, calibration }: EvalOptions): Promise<void> {
  if (fit !== undefined && calibration !== undefined) {
    command.error("error: wanted --fit or --calibration, found both; a fit begins at the model's own scale and bias");
  }
  if (fit !== undefined) await checkWritable(fit);
}
