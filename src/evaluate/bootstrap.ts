/** A figure of data from which every unit (a picture with all that belongs to it) is taken `weights[unit]` times. */
export type Statistic = (weights: Uint32Array) => number;

/** How often and from which seed data are drawn anew. */
export interface Resampling {
  readonly resamples: number;
  /** A whole number: the same seed draws the same. */
  readonly seed: number;
}

/** From where to where a figure lies with a confidence of 95%. */
export type Interval = readonly [low: number, high: number];

/** What lies outside an interval, on each side. */
const TAIL = 0.025;

/**
 * The bootstrap: each statistic of data drawn anew from `units` units with replacement, `resamples` times. The draws
 * depend on the seed and the number of units alone, so that those of two models over the same data can be subtracted,
 * pair by pair. Where nothing is drawn with all of a statistic's units missing, the statistic may give NaN: it is
 * left out by `interval`. [Efron 1979]
 */
export function bootstrap(
  units: number,
  statistics: readonly Statistic[],
  { resamples, seed }: Resampling,
): Float64Array[] {
  const random = randomIntegers(seed);
  const weights = new Uint32Array(units);
  const samples = statistics.map(() => new Float64Array(resamples));
  for (let sample = 0; sample < resamples; sample++) {
    weights.fill(0);
    for (let drawn = 0; drawn < units; drawn++) weights[Math.floor((random() / 2 ** 32) * units)]++;
    for (const [index, statistic] of statistics.entries()) samples[index][sample] = statistic(weights);
  }
  return samples;
}

/** The middle 95% of samples: the percentile interval. */
export function interval(samples: Float64Array): Interval {
  const sorted = samples.filter((value) => !Number.isNaN(value)).sort();
  return [quantile(sorted, TAIL), quantile(sorted, 1 - TAIL)];
}

/**
 * The same of a share, of `units` units. All or none of them say nothing to the bootstrap, for every draw gives the
 * same; there it is the exact interval of a binomial share. [Clopper and Pearson 1934]
 */
export function shareInterval(value: number, samples: Float64Array, units: number): Interval {
  const room = 1 - TAIL ** (1 / units);
  if (value === 0) return [0, room];
  if (value === 1) return [1 - room, 1];
  return interval(samples);
}

/** The value below which a part of sorted values lies, between two of them in proportion. */
function quantile(sorted: Float64Array, part: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = part * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(sorted.length - 1, below + 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/** Whole numbers from 0 to 2^32 - 1, the same from the same seed everywhere. [Mulberry32, Tommy Ettinger] */
function randomIntegers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
