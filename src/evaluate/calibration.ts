import { mismatch } from "../support/error.ts";
import type { Cell, Pairs } from "./pairs.ts";

/** How cosines become logits: `exp(logitScale) * cosine + logitBias`. */
export interface Scaling {
  readonly logitScale: number;
  readonly logitBias: number;
}

/** Options of `fitScaling` and `assess`. */
export interface CalibrationOptions {
  /**
   * The share of pairs that match where the probabilities will be used, between 0 and 1: pairs are weighted as if it
   * were that of the data, which is the default. A bias is little else than this share.
   */
  readonly prior?: number;
}

/** A fit, and what proves it. */
export interface Fitted extends Scaling {
  /** Newton steps. */
  readonly steps: number;
  /** The largest part of the loss's gradient in the end, for a standardised cosine and the bias. */
  readonly gradient: number;
  /**
   * Whether every matching pair scores above all others. The least loss would then be at an infinite scale, and Platt's
   * targets bound it: as if of each kind one more pair had been seen either way. [Platt 1999]
   */
  readonly bounded: boolean;
}

/** How well a scaling's probabilities fit labelled pairs. */
export interface Assessment {
  /** Mean of -log sigmoid(±logit) over pairs: what SigLIP is trained on, but for the mean in place of a sum. */
  readonly loss: number;
  /**
   * Expected calibration error: of pairs in ten equal steps of probability, how far its mean is from the share that
   * match.
   */
  readonly calibrationError: number;
  /** Of the pairs that match. */
  readonly matching: Probabilities;
  /** Of those that do not. */
  readonly others: Probabilities;
}

/** Probabilities of one kind of pairs. */
export interface Probabilities {
  readonly mean: number;
  /** The share of pairs that are called more likely to match than not. */
  readonly overHalf: number;
}

/** Pairs as a logistic regression takes them. */
interface Point {
  /** Cosine, standardised. */
  readonly x: number;
  readonly weight: number;
  readonly target: number;
}

/** Loss, gradient and Hessian at a point of the two parameters. */
interface Slope {
  readonly loss: number;
  readonly gradient: readonly [number, number];
  readonly hessian: readonly [number, number, number];
}

const STEPS = 200;
/** The gradient at which a fit has converged, for each unit of the rarer kind's share. */
const TOLERANCE = 1e-9;
/** Steps of probability that calibration errors are taken over. */
const BINS = 10;

/**
 * The scale and bias of least mean sigmoid loss over labelled pairs, by damped Newton steps. The loss is convex, so
 * there is one such scaling; it is only given when the gradient has vanished. Throws a SiglipError where pairs of one
 * kind are missing, all cosines are equal, or matching pairs do not score higher on average.
 */
export function fitScaling(pairs: Pairs, { prior }: CalibrationOptions = {}): Fitted {
  const { matching, others } = pairs.counts;
  const subject = "calibration";
  if (matching === 0 || others === 0) {
    const found = `${matching} that match and ${others} that do not`;
    throw mismatch("bad-input", subject, "pairs of both kinds", found, "add pictures of other things");
  }
  const cells = pairs.cells();
  const weigh = weights(pairs, prior);
  const [total, mean] = moments(cells, weigh);
  const variance = cells.reduce((sum, cell) => sum + weigh(cell) * (cell.cosine - mean) ** 2, 0) / total;
  const deviation = Math.sqrt(variance);
  const [matchingMean, othersMean] = [true, false].map((kind) => {
    const [weight, mean] = moments(
      cells.filter(({ matches }) => matches === kind),
      weigh,
    );
    return weight > 0 ? mean : Number.NaN;
  });
  if (!(matchingMean > othersMean && deviation > 0)) {
    const found = `means of ${matchingMean.toPrecision(4)} and ${othersMean.toPrecision(4)}`;
    throw mismatch("bad-input", subject, "matching pairs that score above others", found, "check the labels");
  }
  const bounded = cells.find(({ matches }) => matches)!.cosine >= cells.findLast(({ matches }) => !matches)!.cosine;
  const targets = bounded ? [1 / (others + 2), (matching + 1) / (matching + 2)] : [0, 1];
  const points = cells.map((cell) => ({
    x: (cell.cosine - mean) / deviation,
    weight: weigh(cell) / total,
    target: targets[cell.matches ? 1 : 0],
  }));
  const part = prior ?? matching / (matching + others);
  const start = [0, Math.log(part / (1 - part))] as const;
  const { at, steps, gradient } = minimise(points, start, TOLERANCE * Math.min(part, 1 - part));
  const scale = at[0] / deviation;
  return { logitScale: Math.log(scale), logitBias: at[1] - scale * mean, steps, gradient, bounded };
}

/** How well a scaling fits pairs. */
export function assess(
  pairs: Pairs,
  { logitScale, logitBias }: Scaling,
  { prior }: CalibrationOptions = {},
): Assessment {
  const weigh = weights(pairs, prior);
  const scale = Math.exp(logitScale);
  const bins = Array.from({ length: BINS }, () => ({ weight: 0, probability: 0, matching: 0 }));
  const kinds = [0, 1].map(() => ({ weight: 0, probability: 0, over: 0 }));
  let loss = 0;
  for (const cell of pairs.cells()) {
    const weight = weigh(cell);
    const logit = scale * cell.cosine + logitBias;
    const probability = 1 / (1 + Math.exp(-logit));
    loss += weight * softplus(cell.matches ? -logit : logit);
    const bin = bins[Math.min(BINS - 1, Math.floor(probability * BINS))];
    bin.weight += weight;
    bin.probability += weight * probability;
    if (cell.matches) bin.matching += weight;
    const kind = kinds[cell.matches ? 1 : 0];
    kind.weight += weight;
    kind.probability += weight * probability;
    if (probability > 0.5) kind.over += weight;
  }
  const total = bins.reduce((sum, { weight }) => sum + weight, 0);
  const apart = bins.reduce((sum, { probability, matching }) => sum + Math.abs(probability - matching), 0);
  const [others, matching] = kinds.map(({ weight, probability, over }) => {
    return { mean: probability / weight, overHalf: over / weight };
  });
  return { loss: loss / total, calibrationError: apart / total, matching, others };
}

/** What one cell weighs: its pairs, or as many as give those that match their share. */
function weights(pairs: Pairs, prior: number | undefined): (cell: Cell) => number {
  if (prior === undefined) return ({ count }) => count;
  const { matching, others } = pairs.counts;
  const factors = [(1 - prior) / others, prior / matching].map((factor) => factor * (matching + others));
  return ({ count, matches }) => count * factors[matches ? 1 : 0];
}

/** The weight of cells, and their mean cosine. */
function moments(cells: readonly Cell[], weigh: (cell: Cell) => number): [total: number, mean: number] {
  let [total, sum] = [0, 0];
  for (const cell of cells) {
    total += weigh(cell);
    sum += weigh(cell) * cell.cosine;
  }
  return [total, sum / total];
}

/** Newton's method, with steps halved until the loss falls. */
function minimise(points: readonly Point[], start: readonly [number, number], tolerance: number) {
  let at = start;
  let here = slope(points, at);
  for (let steps = 0; steps <= STEPS; steps++) {
    const gradient = Math.max(...here.gradient.map(Math.abs));
    if (gradient <= tolerance) return { at, steps, gradient };
    const [xx, x1, one] = here.hessian;
    const determinant = xx * one - x1 * x1;
    const [gx, g1] = here.gradient;
    const step = [(one * gx - x1 * g1) / determinant, (xx * g1 - x1 * gx) / determinant];
    // A step that rounding alone makes longer than no step is taken as it is.
    const most = here.loss * (1 + 1e-14);
    for (let part = 1; ; part /= 2) {
      const next = [at[0] - part * step[0], at[1] - part * step[1]] as const;
      const there = slope(points, next);
      if (!(there.loss <= most) && part > 2 ** -40) continue;
      [at, here] = [next, there];
      break;
    }
  }
  const found = `a gradient of ${Math.max(...here.gradient.map(Math.abs)).toPrecision(3)} after ${STEPS} steps`;
  throw mismatch("bad-input", "calibration", "a loss with a lowest point", found, "add more pairs");
}

function slope(points: readonly Point[], [scale, bias]: readonly [number, number]): Slope {
  let [loss, gx, g1, xx, x1, one] = [0, 0, 0, 0, 0, 0];
  for (const { x, weight, target } of points) {
    const logit = scale * x + bias;
    const probability = 1 / (1 + Math.exp(-logit));
    loss += weight * (target * softplus(-logit) + (1 - target) * softplus(logit));
    const off = weight * (probability - target);
    const bend = weight * probability * (1 - probability);
    gx += off * x;
    g1 += off;
    xx += bend * x * x;
    x1 += bend * x;
    one += bend;
  }
  return { loss, gradient: [gx, g1], hessian: [xx, x1, one] };
}

/** log(1 + exp(x)), for any x. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}
