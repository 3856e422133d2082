import type { Siglip } from "../node.ts";
import type { Calibration } from "../siglip/calibration.ts";
import { SiglipError } from "../support/error.ts";
import type { EvalOptions } from "./eval-options.ts";
import { openModel } from "./model.ts";
import { tell } from "./terminal.ts";

/** What was measured of a model on one backend, in one precision. */
export interface Run<Result> {
  readonly device: Siglip["device"];
  readonly dim: number;
  /** Scale and bias of its logits. */
  readonly calibration: Calibration;
  readonly result: Result;
  /** How long that took, loading included. */
  readonly seconds: number;
}

/**
 * Measures on every backend in every precision that were asked for, one after another. Of several, one that cannot be
 * had here is told and left out, and counted in `missing`; rejects where that is true of all.
 */
export async function measureAll<Result>(
  options: EvalOptions,
  signal: AbortSignal,
  measure: (model: Siglip) => Promise<Result>,
): Promise<{ readonly runs: readonly Run<Result>[]; readonly missing: number }> {
  const runs: Run<Result>[] = [];
  const failed: SiglipError[] = [];
  const wanted = options.backend.flatMap((backend) =>
    (options.dtype ?? [undefined]).map((dtype) => ({ ...options, backend, dtype })),
  );
  for (const one of wanted) {
    const began = performance.now();
    const model = await openModel(one, ["image", "text"], signal).catch((error) => {
      if (!isOwn(error) || signal.aborted) throw error;
      failed.push(error);
    });
    if (!model) continue;
    try {
      const { device, dim, calibration } = model;
      const result = await measure(model);
      runs.push({ device, dim, calibration, result, seconds: (performance.now() - began) / 1000 });
    } catch (error) {
      // What others have found, perhaps in hours, is not thrown away.
      if (runs.length === 0 || !(error instanceof SiglipError) || signal.aborted) throw error;
      failed.push(error);
    } finally {
      model.dispose();
    }
  }
  const last = runs.length === 0 ? failed.pop() : undefined;
  for (const { message } of failed) tell(message);
  if (last) throw last;
  return { runs, missing: failed.length };
}

/** Whether a model could not be loaded for what its backend or precision asks of this machine. */
function isOwn(error: unknown): error is SiglipError {
  return error instanceof SiglipError && ["unsupported", "no-device", "out-of-memory"].includes(error.code);
}
