import { describe, expect, it } from "vitest";
import { assess, fitScaling } from "../../src/evaluate/calibration.ts";
import { Pairs } from "../../src/evaluate/pairs.ts";

/** Pairs from [cosine, how many match, how many do not]. */
function pairsOf(rows: readonly (readonly [cosine: number, matching: number, others: number])[]): Pairs {
  const pairs = new Pairs();
  for (const [cosine, matching, others] of rows) {
    for (let i = 0; i < matching; i++) pairs.add(cosine, true);
    for (let i = 0; i < others; i++) pairs.add(cosine, false);
  }
  return pairs;
}

describe("a calibration's fit", () => {
  // At 0.1 one of four pairs matches, at 0.3 three of four: two parameters give both shares exactly. Logits are -ln 3
  // and ln 3, so the scale is 2 ln 3 / 0.2 = 10.986 and the bias -ln 3 - 0.1 * 10.986 = -2.1972. The loss is the
  // entropy of 1/4: -(1/4 ln 1/4 + 3/4 ln 3/4) = 0.56234.
  const four = pairsOf([
    [0.1, 1, 3],
    [0.3, 3, 1],
  ]);

  it("is what can be worked out by hand", () => {
    const fitted = fitScaling(four);
    expect(Math.exp(fitted.logitScale)).toBeCloseTo(10.98612, 4);
    expect(fitted.logitBias).toBeCloseTo(-2.19722, 4);
    expect(fitted.gradient).toBeLessThan(1e-9);
    expect(fitted.bounded).toBe(false);
    const { loss, calibrationError, matching, others } = assess(four, fitted);
    expect(loss).toBeCloseTo(0.562335, 6);
    expect(calibrationError).toBeCloseTo(0, 9);
    // Of those that match 1/4 of the weight has probability 1/4, 3/4 has 3/4: 0.625; of the others the reverse.
    // Over one half is what lies at 0.3: three of four, and one of four.
    expect(matching).toEqual({ mean: expect.closeTo(0.625, 9), overHalf: 0.75 });
    expect(others).toEqual({ mean: expect.closeTo(0.375, 9), overHalf: 0.25 });
  });

  it("moves with the share of true pairs that is taken for granted", () => {
    // As if one in five were true and not one in two: odds are a quarter of what they were, at every cosine.
    const fitted = fitScaling(four, { prior: 0.2 });
    expect(Math.exp(fitted.logitScale)).toBeCloseTo(10.98612, 4);
    expect(fitted.logitBias).toBeCloseTo(-2.19722 - Math.log(4), 4);
    expect(assess(four, fitted, { prior: 0.2 }).calibrationError).toBeCloseTo(0, 9);
  });

  it("is assessed as worked out by hand", () => {
    // Scale 1 and bias 0 give 0.52498 and 0.57444 where the shares are 1/4 and 3/4; both lie in the step from 0.5 to
    // 0.6: the mean probability there is 0.54971 and the share 0.5, so the error is 0.04971.
    const { loss, calibrationError } = assess(four, { logitScale: 0, logitBias: 0 });
    expect(calibrationError).toBeCloseTo(0.04971, 5);
    // (1/4 ln 1/0.52498 + 3/4 ln 1/0.47502 + 3/4 ln 1/0.57444 + 1/4 ln 1/0.42556) / 2 = 0.67438.
    expect(loss).toBeCloseTo(0.674376, 6);
    // With a bias of ln 3 for the first and scale 0 nearly: all have 3/4, half match: 1/4 off.
    expect(assess(four, { logitScale: -50, logitBias: Math.log(3) }).calibrationError).toBeCloseTo(0.25, 9);
  });

  it("of separable pairs is bounded by Platt's targets", () => {
    // Three true pairs at 0.5 have the target 4/5, logit ln 4; seven others at 0 have 1/9, logit -ln 8.
    const fitted = fitScaling(
      pairsOf([
        [0, 0, 7],
        [0.5, 3, 0],
      ]),
    );
    expect(fitted.bounded).toBe(true);
    expect(Math.exp(fitted.logitScale) * 0.5).toBeCloseTo(Math.log(4) + Math.log(8), 6);
    expect(fitted.logitBias).toBeCloseTo(-Math.log(8), 6);
    // Equal cosines where the kinds meet bound nothing either.
    const meeting = fitScaling(
      pairsOf([
        [0, 0, 7],
        [0.25, 1, 1],
        [0.5, 3, 0],
      ]),
    );
    expect(meeting.bounded).toBe(true);
    expect(Number.isFinite(meeting.logitScale)).toBe(true);
  });

  for (const [what, rows, message] of [
    ["pairs of one kind alone", [[0.1, 5, 0]], /wanted pairs of both kinds, found 5 that match and 0 that do not/],
    [
      "true pairs that score lower",
      [
        [0.1, 5, 1],
        [0.2, 1, 5],
      ],
      /matching pairs that score above others/,
    ],
    ["equal cosines", [[0.1, 5, 5]], /matching pairs that score above others/],
  ] as const) {
    it(`refuses ${what} in one sentence`, () => {
      expect(() => fitScaling(pairsOf(rows as never))).toThrow(message);
    });
  }

  it("finds what made the labels, of pairs as SigLIP scores them", () => {
    let state = 7;
    const random = () => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const truth = { scale: 110, bias: -13 };
    const exact: [number, boolean][] = [];
    const pairs = new Pairs();
    for (let i = 0; i < 40_000; i++) {
      const cosine = (random() + random() + random()) / 15 - 0.04;
      const matches = random() < 1 / (1 + Math.exp(-(truth.scale * cosine + truth.bias)));
      exact.push([cosine, matches]);
      pairs.add(cosine, matches);
    }
    const fitted = fitScaling(pairs);
    const scale = Math.exp(fitted.logitScale);
    expect(Math.abs(scale / truth.scale - 1)).toBeLessThan(0.05);
    expect(Math.abs(fitted.logitBias - truth.bias)).toBeLessThan(0.6);
    expect(fitted.steps).toBeLessThan(20);
    // The gradient over the pairs themselves, not over cells, vanishes too.
    let [byScale, byBias] = [0, 0];
    for (const [cosine, matches] of exact) {
      const off = 1 / (1 + Math.exp(-(scale * cosine + fitted.logitBias))) - (matches ? 1 : 0);
      byScale += (off * cosine) / exact.length;
      byBias += off / exact.length;
    }
    expect(Math.abs(byScale)).toBeLessThan(1e-8);
    expect(Math.abs(byBias)).toBeLessThan(1e-7);
    expect(assess(pairs, fitted).loss).toBeLessThan(assess(pairs, { logitScale: Math.log(110), logitBias: -13 }).loss);
  });

  it("converges where one pair in a hundred thousand is true, and where one overlaps", () => {
    const rare = fitScaling(
      pairsOf([
        [0.0, 0, 199_000],
        [0.05, 1, 1000],
        [0.15, 1, 1],
      ]),
    );
    expect(rare.gradient).toBeLessThan(1e-14);
    const near = fitScaling(
      pairsOf([
        [0.1, 1, 5000],
        [0.1001, 5000, 1],
      ]),
    );
    // ln 5000 each way over 0.0001.
    expect(Math.exp(near.logitScale)).toBeCloseTo((2 * Math.log(5000)) / 0.0001, -2);
  });
});
