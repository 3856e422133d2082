import type { Match } from "./library.ts";

/** Texts: the least probability, of the model's own, with which a picture counts as a hit. */
const LEAST = 0.001;
/** Pictures: how many standard deviations above the mean of all a picture has to be as similar. */
const ABOVE = 2;
/** Shown of pictures that fit badly, so that there is something to go on from. */
const NEAREST = 6;

/** How many of the matches, best first, are worth showing, and whether these fit or are only the nearest. */
export interface Cut {
  readonly count: number;
  readonly fit: boolean;
}

/**
 * Cuts what has nothing to do with a text. A text and a picture that belong together have a probability of some percent at
 * the least, others one far below a thousandth, whichever SigLIP judges.
 */
export function cutByText(matches: readonly Match[], probability: (cosine: number) => number): Cut {
  const count = matches.filter(({ score }) => probability(score) >= LEAST).length;
  return count > 0 ? { count, fit: true } : { count: Math.min(NEAREST, matches.length), fit: false };
}

/** Cuts what is no more like a picture than most are: two pictures have no probability, but all of them an average. */
export function cutByPicture(matches: readonly Match[]): Cut {
  const mean = matches.reduce((sum, { score }) => sum + score, 0) / matches.length;
  const variance = matches.reduce((sum, { score }) => sum + (score - mean) ** 2, 0) / matches.length;
  const least = mean + ABOVE * Math.sqrt(variance);
  const count = matches.filter(({ score }) => score >= least).length;
  return { count: Math.min(matches.length, Math.max(NEAREST, count)), fit: true };
}
