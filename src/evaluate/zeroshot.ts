import { countIn, noPlaces, type Places } from "./place.ts";

/** What a classifier made of pictures whose classes are known. */
export interface Predictions {
  /** Each picture's class. */
  readonly truth: Uint32Array;
  /** The class that scored highest, the first of equals. */
  readonly predicted: Uint32Array;
  /** Of the right class among all. */
  readonly places: Places;
}

/** How one class fares. */
export interface ClassResult {
  /** Its number. */
  readonly index: number;
  /** Pictures of it. */
  readonly pictures: number;
  /** The share of these that were taken for it. */
  readonly recall: number;
  /** The share of all that were taken for it which are of it; NaN where nothing was. */
  readonly precision: number;
}

/** Pictures of one class that were taken for another. */
export interface Confusion {
  readonly truth: number;
  readonly predicted: number;
  readonly pictures: number;
  /** Of all pictures of the true class. */
  readonly share: number;
}

/** Predictions of `count` pictures, to be filled in. */
export function noPredictions(count: number): Predictions {
  return { truth: new Uint32Array(count), predicted: new Uint32Array(count), places: noPlaces(count) };
}

/** The first so many. */
export function firstOf({ truth, predicted, places }: Predictions, count: number): Predictions {
  const first = (values: Uint32Array) => values.subarray(0, count);
  const { best, place, worst } = places;
  return {
    truth: first(truth),
    predicted: first(predicted),
    places: { best: first(best), place: first(place), worst: first(worst) },
  };
}

/** Fills in one picture's by its class and the scores of all. */
export function predict(
  { truth, predicted, places }: Predictions,
  picture: number,
  right: number,
  scores: ArrayLike<number>,
): void {
  truth[picture] = right;
  for (let index = 0; index < scores.length; index++) {
    if (scores[index] > scores[predicted[picture]]) predicted[picture] = index;
    if (index !== right) countIn(places, picture, scores[index], scores[right], index < right);
  }
}

/** Of every class that has pictures, in order. */
export function perClass({ truth, predicted }: Predictions, classes: number): ClassResult[] {
  const [pictures, taken, right] = [0, 1, 2].map(() => new Uint32Array(classes));
  for (const [picture, index] of truth.entries()) {
    pictures[index]++;
    taken[predicted[picture]]++;
    if (predicted[picture] === index) right[index]++;
  }
  return Array.from(pictures, (count, index) => ({
    index,
    pictures: count,
    recall: right[index] / count,
    precision: taken[index] > 0 ? right[index] / taken[index] : Number.NaN,
  })).filter(({ pictures }) => pictures > 0);
}

/** What is taken for what, the most frequent first, of equals the one that weighs more on its class. */
export function confusions({ truth, predicted }: Predictions, classes: number): Confusion[] {
  const pictures = new Uint32Array(classes);
  const counts = new Map<number, number>();
  for (const [picture, index] of truth.entries()) {
    pictures[index]++;
    if (predicted[picture] === index) continue;
    const key = index * classes + predicted[picture];
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts]
    .map(([key, count]) => {
      const index = Math.floor(key / classes);
      return { truth: index, predicted: key % classes, pictures: count, share: count / pictures[index] };
    })
    .sort((a, b) => b.pictures - a.pictures || b.share - a.share || a.truth - b.truth || a.predicted - b.predicted);
}

/** The mean over classes of the share of their pictures that were recognised, of pictures taken `weights` times. */
export function meanPerClass({ truth, predicted }: Predictions, classes: number, weights?: Uint32Array): number {
  const [all, right] = [new Float64Array(classes), new Float64Array(classes)];
  for (const [picture, index] of truth.entries()) {
    const weight = weights?.[picture] ?? 1;
    all[index] += weight;
    if (predicted[picture] === index) right[index] += weight;
  }
  let [sum, count] = [0, 0];
  for (let index = 0; index < classes; index++) {
    if (all[index] === 0) continue;
    sum += right[index] / all[index];
    count++;
  }
  return sum / count;
}
