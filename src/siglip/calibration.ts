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
  const scale = number(logitScale) ? Math.exp(logitScale) : Number.NaN;
  if (!(Number.isFinite(scale) && scale > 0 && number(logitBias))) {
    const found = [logitScale, logitBias].map((value) => (number(value) ? value : "no number")).join(" and ");
    const advice = "pass what siglip eval --fit wrote, parsed";
    throw mismatch("bad-input", "calibration", "a logitScale and logitBias in range", found, advice);
  }
  if (model !== undefined) {
    const dim = there.includes("image") ? vision.hidden : text.projection;
    const own = [dim, Math.log(towers.scale), towers.bias];
    const theirs = [model?.dim, model?.logitScale, model?.logitBias];
    // A tower alone has no scale to tell it by.
    const apart = (value: number, their: unknown) =>
      !Number.isNaN(value) && !(number(their) && Math.abs(value - their) <= CLOSE);
    if (own.some((value, index) => apart(value, theirs[index]))) {
      const called = typeof model?.name === "string" ? model.name.slice(0, 100).replace(/\s+/g, " ") : "no name";
      throw mismatch("bad-input", "calibration", `one of ${name}`, `one of ${called}`, "fit one for this model");
    }
  }
  return { ...towers, scale, bias: logitBias };
}

function number(value: unknown): value is number {
  return Number.isFinite(value);
}
