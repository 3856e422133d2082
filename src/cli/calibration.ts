import type { Command } from "commander";
import { readFile } from "../node/file.ts";
import type { Calibration } from "../siglip/calibration.ts";
import { mismatch } from "../support/error.ts";

/** A calibration is a few hundred bytes. */
const LIMIT = 2 ** 20;

/** Adds `--calibration`, which `openModel` heeds. */
export function addCalibrationOption(command: Command): Command {
  return command.option("--calibration <file>", "scale and bias of probabilities, as siglip eval --fit wrote them");
}

/** The calibration in a file; whether it is one, and of this model, is for `Siglip.load` to say. */
export async function readCalibration(path: string, signal: AbortSignal): Promise<Calibration> {
  const text = new TextDecoder().decode(await readFile(path, LIMIT, signal));
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw mismatch("bad-input", path, "a calibration as JSON", (cause as Error).message, "fit one anew", cause);
  }
}
