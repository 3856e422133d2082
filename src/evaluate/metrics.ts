import { bootstrap, type Interval, interval, type Resampling, type Statistic, shareInterval } from "./bootstrap.ts";
import { type Places, shareWithin } from "./place.ts";
import type { RetrievalPlaces } from "./retrieval.ts";
import { meanPerClass, type Predictions, perClass } from "./zeroshot.ts";

/** A share that tells how good a model is. */
export interface Metric {
  readonly name: string;
  /** From 0 to 1. */
  readonly value: number;
  /** Of 95% by the bootstrap over pictures. */
  readonly interval: Interval;
  /** The value if all equal scores fell out against what is right, and for it. */
  readonly ties: readonly [low: number, high: number];
  /** Of data drawn anew, the same draws for every model. */
  readonly samples: Float64Array;
}

/** By how much a metric differs from another of the same data, drawn together pair by pair. */
export interface Difference {
  readonly value: number;
  readonly interval: Interval;
}

/** How deep right ones may stand, as everybody reports it. */
const DEPTHS = [1, 5, 10];

/**
 * R@1, R@5 and R@10 of both directions: the share of captions whose own picture is among the first k pictures, and of
 * pictures with a caption of theirs among the first k captions. A depth of no less than all there is is left out.
 */
export function retrievalMetrics(
  { images, texts }: RetrievalPlaces,
  owner: Uint32Array,
  resampling: Resampling,
): Metric[] {
  const count = texts.place.length;
  const own = Uint32Array.from(texts.place, (_, picture) => picture);
  return [
    ...within("text to image", images, owner, count, count, resampling),
    ...within("image to text", texts, own, count, owner.length, resampling),
  ];
}

/** Metrics of queries of which each belongs to a picture, with which it is drawn. */
function within(
  direction: string,
  places: Places,
  owner: Uint32Array,
  pictures: number,
  candidates: number,
  resampling: Resampling,
): Metric[] {
  const all = perPicture(owner, pictures, () => 1);
  const depths = DEPTHS.filter((k) => k === 1 || k < candidates);
  const statistics = depths.map((k) => {
    const hits = perPicture(owner, pictures, (query) => (places.place[query] < k ? 1 : 0));
    return (weights: Uint32Array) => sum(weights, hits) / sum(weights, all);
  });
  const samples = bootstrap(pictures, statistics, resampling);
  return depths.map((k, index) => {
    const { value, ties } = shareWithin(places, k);
    const interval = shareInterval(value, samples[index], pictures);
    return { name: `${direction} R@${k}`, value, ties, interval, samples: samples[index] };
  });
}

/** Top-1 and top-5 accuracy; and where classes have different numbers of pictures, top-1 as the mean over classes. */
export function zeroshotMetrics(predictions: Predictions, classes: number, resampling: Resampling): Metric[] {
  const { places, truth } = predictions;
  const depths = [1, 5].filter((k) => k === 1 || k < classes);
  const statistics: Statistic[] = depths.map((k) => {
    const hits = places.place.map((at) => (at < k ? 1 : 0));
    return (weights) => sum(weights, hits) / truth.length;
  });
  const figures = depths.map((k) => ({ name: `top-${k}`, ...shareWithin(places, k) }));
  if (new Set(perClass(predictions, classes).map(({ pictures }) => pictures)).size > 1) {
    const value = meanPerClass(predictions, classes);
    figures.push({ name: "top-1, mean over classes", value, ties: [value, value] });
    statistics.push((weights) => meanPerClass(predictions, classes, weights));
  }
  const samples = bootstrap(truth.length, statistics, resampling);
  return figures.map((figure, index) => {
    const interval = shareInterval(figure.value, samples[index], truth.length);
    return { ...figure, interval, samples: samples[index] };
  });
}

/** A metric less another. */
export function difference(metric: Metric, first: Metric): Difference {
  const samples = metric.samples.map((value, index) => value - first.samples[index]);
  return { value: metric.value - first.value, interval: interval(samples) };
}

/** What the queries of every picture come to. */
function perPicture(owner: Uint32Array, pictures: number, of: (query: number) => number): Float64Array {
  const sums = new Float64Array(pictures);
  for (const [query, picture] of owner.entries()) sums[picture] += of(query);
  return sums;
}

function sum(weights: Uint32Array, values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i] * values[i];
  return total;
}
