import type { SiglipConfig } from "../model/config.ts";
import type { Towers } from "../model/towers.ts";
import { mismatch } from "../support/error.ts";

/**
 * How a model's cosines become logits in place of the checkpoint's own `logit_scale` and `logit_bias`: what `siglip
 * eval
 * --fit` writes, parsed, or two numbers.
 */
export interface Calibration {
  /** The natural logarithm of what cosines are multiplied by. */
  readonly logitScale: number;
  /** What is added then. */
  readonly logitBias: number;
  /** The model that it was fitted for: another one's is refused. */
  readonly model?: {
    /** For messages: the same model may be called by many names. */
    readonly name: string;
    /** The width of its embeddings. */
    readonly dim: number;
    /** The checkpoint's own, which no two trainings share. */
    readonly logitScale: number;
    /** Likewise. */
    readonly logitBias: number;
  };
}

/** How far the own scale and bias of a model may lie from those that a calibration names, for their digits in JSON. */
const CLOSE = 1e-5;

/**
 * The towers with a calibration in place of their own scale and bias. Throws a SiglipError for one of another model.
 */
export function calibrated(
  towers: Towers,
  name: string,
  { towers: there, vision, text }: SiglipConfig,
  calibration: Calibration,
): Towers {
  const { logitScale, logitBias, model } = Object(calibration) as Calibration;
  const scale = Math.exp(logitScale);
  if (!(Number.isFinite(scale) && scale > 0 && Number.isFinite(logitBias))) {
    const found = `${logitScale} and ${logitBias}`;
    const advice = "pass what siglip eval --fit wrote, parsed";
    throw mismatch("bad-input", "calibration", "a finite logitScale and logitBias", found, advice);
  }
  if (model !== undefined) {
    const dim = there.includes("image") ? vision.hidden : text.projection;
    const own = [dim, Math.log(towers.scale), towers.bias];
    const theirs = [model?.dim, model?.logitScale, model?.logitBias];
    // A tower alone has no scale to tell it by, and NaN is not apart from anything.
    if (own.some((value, index) => !Number.isNaN(value) && !(Math.abs(value - theirs[index]) <= CLOSE))) {
      const found = `one of ${String(model?.name).slice(0, 100)}`;
      throw mismatch("bad-input", "calibration", `one of ${name}`, found, "fit one for this model");
    }
  }
  return { ...towers, scale, bias: logitBias };
}
