/**
 * Where what is right stands among candidates by their scores. Equal scores are an accident of rounding or of twins
 * among the data, so that all three are told: how often the right one is found must not hang on them unsaid.
 */
export interface Places {
  /** How many others score higher: the place, from 0, if equals all stand behind the right one. */
  readonly best: Uint32Array;
  /** The place by the one rule that figures are made of: of equals the one that comes first in the data is first. */
  readonly place: Uint32Array;
  /** The place if equals all stand before it. */
  readonly worst: Uint32Array;
}

/** Places of `count` queries, to be counted up. */
export function noPlaces(count: number): Places {
  return { best: new Uint32Array(count), place: new Uint32Array(count), worst: new Uint32Array(count) };
}

/**
 * Counts one more candidate against a query's right one: by its score, and by whether it stands before it in the
 * data.
 */
export function countIn(places: Places, query: number, score: number, right: number, before: boolean): void {
  if (score < right) return;
  places.worst[query]++;
  if (score > right) places.best[query]++;
  if (score > right || before) places.place[query]++;
}

/** A share of queries whose right one is among the first so many. */
export interface Share {
  readonly value: number;
  /**
   * The same if every equal score fell out against the right one, and for it; as `value` where nothing hangs on that.
   */
  readonly ties: readonly [low: number, high: number];
}

/** The share of queries whose right one is among the first `k`. */
export function shareWithin({ best, place, worst }: Places, k: number): Share {
  const share = (places: Uint32Array) => places.reduce((sum, at) => sum + (at < k ? 1 : 0), 0) / places.length;
  return { value: share(place), ties: [share(worst), share(best)] };
}
