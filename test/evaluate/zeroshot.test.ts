import { describe, expect, it } from "vitest";
import { zeroshotMetrics } from "../../src/evaluate/metrics.ts";
import { confusions, firstOf, meanPerClass, noPredictions, perClass, predict } from "../../src/evaluate/zeroshot.ts";

describe("zero-shot classification", () => {
  // Three classes, a has three pictures, b two, c one. Scores of a, b, c:
  //  a1 .9 .1 .0 -> a      a2 .2 .5 .1 -> b, a second     a3 .1 .8 .3 -> b, a third
  //  b1 .1 .7 .2 -> b      b2 .6 .6 .1 -> a by order, b second
  //  c1 .3 .2 .1 -> a, c third
  // Top-1: a1 and b1, 2/6. Recall: a 1/3, b 1/2, c 0; their mean is 5/18. Precision: a is said of a1, b2, c1: 1/3; b of
  // a2, a3, b1: 1/3; c of none.
  const rows: [number, number[]][] = [
    [0, [0.9, 0.1, 0]],
    [0, [0.2, 0.5, 0.1]],
    [0, [0.1, 0.8, 0.3]],
    [1, [0.1, 0.7, 0.2]],
    [1, [0.6, 0.6, 0.1]],
    [2, [0.3, 0.2, 0.1]],
  ];
  const all = noPredictions(8);
  for (const [index, [right, scores]] of rows.entries()) predict(all, index, right, scores);
  const predictions = firstOf(all, rows.length);

  it("takes the class that scores highest, of equals the first", () => {
    expect([...predictions.predicted]).toEqual([0, 1, 1, 1, 0, 0]);
    expect([...predictions.places.place]).toEqual([0, 1, 2, 0, 1, 2]);
    expect([...predictions.places.best]).toEqual([0, 1, 2, 0, 0, 2]);
  });

  it("gives top-1, by class and in the mean, as worked out by hand", () => {
    const [top1, mean, ...more] = zeroshotMetrics(predictions, 3, { resamples: 50, seed: 1 });
    expect(top1).toMatchObject({ name: "top-1", value: 1 / 3, ties: [1 / 3, 1 / 2] });
    expect(mean).toMatchObject({ name: "top-1, mean over classes", value: expect.closeTo(5 / 18, 12) });
    expect(more).toEqual([]);
    expect(perClass(predictions, 3)).toEqual([
      { index: 0, pictures: 3, recall: 1 / 3, precision: 1 / 3 },
      { index: 1, pictures: 2, recall: 1 / 2, precision: 1 / 3 },
      { index: 2, pictures: 1, recall: 0, precision: Number.NaN },
    ]);
    // Pictures a1, a2 and c1 alone, c1 twice: a is 1/2, c is 0, b is not there.
    expect(meanPerClass(predictions, 3, Uint32Array.of(1, 1, 0, 0, 0, 2))).toBe(0.25);
  });

  it("lists what is confused, the most frequent first", () => {
    expect(confusions(predictions, 3)).toEqual([
      { truth: 0, predicted: 1, pictures: 2, share: 2 / 3 },
      { truth: 2, predicted: 0, pictures: 1, share: 1 },
      { truth: 1, predicted: 0, pictures: 1, share: 1 / 2 },
    ]);
  });

  it("gives top-5 where there are more classes, and no mean where all have as many pictures", () => {
    // Class 0 of six in places 4 and 5 (from 0): one of two is among the first five.
    const two = noPredictions(2);
    predict(two, 0, 0, [0.5, 0.9, 0.8, 0.7, 0.6, 0.1]);
    predict(two, 1, 0, [0.5, 0.9, 0.8, 0.7, 0.6, 0.55]);
    const metrics = zeroshotMetrics(two, 6, { resamples: 50, seed: 1 });
    expect(metrics.map(({ name, value }) => [name, value])).toEqual([
      ["top-1", 0],
      ["top-5", 0.5],
    ]);
  });
});
