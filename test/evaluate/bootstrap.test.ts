import { describe, expect, it } from "vitest";
import { bootstrap, interval, shareInterval } from "../../src/evaluate/bootstrap.ts";
import { difference, type Metric } from "../../src/evaluate/metrics.ts";

const mean = (values: readonly number[]) => (weights: Uint32Array) =>
  values.reduce((sum, value, unit) => sum + value * weights[unit], 0) / values.length;

describe("the bootstrap", () => {
  it("draws as many units as there are, with replacement, the same from the same seed", () => {
    const counts = (weights: Uint32Array) => weights.reduce((sum, weight) => sum + weight, 0);
    const draw = (seed: number) => bootstrap(7, [counts, mean([1, 0, 0, 0, 0, 0, 0])], { resamples: 100, seed });
    const [all, first] = draw(5);
    expect([...all]).toEqual(Array.from({ length: 100 }, () => 7));
    expect(new Set(first).size).toBeGreaterThan(2);
    expect(draw(5)[1]).toEqual(first);
    expect(draw(6)[1]).not.toEqual(first);
  });

  it("finds the distribution that can be worked out by hand", () => {
    // Of two units, worth 0 and 1, two are drawn: their mean is 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4. Four
    // times the deviation of 4,000 draws is 0.032.
    const [samples] = bootstrap(2, [mean([0, 1])], { resamples: 4000, seed: 1 });
    for (const [value, probability] of [
      [0, 0.25],
      [0.5, 0.5],
      [1, 0.25],
    ]) {
      const share = samples.filter((sample) => sample === value).length / samples.length;
      expect(Math.abs(share - probability)).toBeLessThan(0.032);
    }
    expect(interval(samples)).toEqual([0, 1]);
  });

  it("gives the interval of a mean that statistics gives", () => {
    // 60 of 200: the normal approximation is 0.3 ± 1.96 sqrt(0.3 * 0.7 / 200) = 0.2365 to 0.3635.
    const values = Array.from({ length: 200 }, (_, unit) => (unit < 60 ? 1 : 0));
    const [samples] = bootstrap(200, [mean(values)], { resamples: 4000, seed: 2 });
    const [low, high] = interval(samples);
    expect(Math.abs(low - 0.2365)).toBeLessThan(0.008);
    expect(Math.abs(high - 0.3635)).toBeLessThan(0.008);
  });

  it("takes the middle of sorted samples, between two of them in proportion", () => {
    // 0 to 40: 2.5% of the way from 0 to 40 is 1, 97.5% is 39. Of 0, 1, 2 it is 0.05 and 1.95.
    expect(interval(Float64Array.from({ length: 41 }, (_, i) => 40 - i))).toEqual([1, 39]);
    const [low, high] = interval(Float64Array.of(2, Number.NaN, 0, 1));
    expect(low).toBeCloseTo(0.05, 12);
    expect(high).toBeCloseTo(1.95, 12);
  });

  it("is exact where all or none hit, of which draws say nothing", () => {
    // With 20 of 20 the lowest share that this happens to in 2.5% of cases is 0.025^(1/20) = 0.8316.
    const [low, high] = shareInterval(1, new Float64Array(10).fill(1), 20);
    expect(low).toBeCloseTo(0.8316, 4);
    expect(high).toBe(1);
    expect(shareInterval(0, new Float64Array(10), 20)).toEqual([0, 1 - low]);
    expect(shareInterval(1, new Float64Array(10).fill(1), 1)[0]).toBeCloseTo(0.025, 12);
    expect(shareInterval(0.5, Float64Array.of(0.25, 0.25), 20)).toEqual([0.25, 0.25]);
  });

  it("compares two models on the same draws, pair by pair", () => {
    const metric = (values: readonly number[]): Metric => {
      const [samples] = bootstrap(values.length, [mean(values)], { resamples: 500, seed: 1 });
      const value = values.reduce((sum, one) => sum + one, 0) / values.length;
      return { name: "", value, interval: interval(samples), ties: [value, value], samples };
    };
    // The second model hits what the first does, and one more of 100: drawn by itself each is uncertain by ±0.1, their
    // difference is the share of that one picture, which is drawn never to about three times.
    const first = metric(Array.from({ length: 100 }, (_, unit) => (unit < 50 ? 1 : 0)));
    const second = metric(Array.from({ length: 100 }, (_, unit) => (unit < 51 ? 1 : 0)));
    const less = difference(second, first);
    expect(less.value).toBeCloseTo(0.01, 12);
    expect(less.interval[0]).toBeCloseTo(0, 12);
    expect(less.interval[1]).toBeGreaterThan(0.01);
    expect(less.interval[1]).toBeLessThan(0.05);
    expect(first.interval[1] - first.interval[0]).toBeGreaterThan(0.15);
  });
});
