import { describe, expect, it } from "vitest";
import { type LoadProgress, reporter } from "../../src/support/progress.ts";

describe("progress", () => {
  const run = (steps: readonly [time: number, loaded: number][]) => {
    const told: LoadProgress[] = [];
    let time = 1000;
    const report = reporter(
      (progress) => told.push(progress),
      "weights",
      "m",
      () => time,
    );
    for (const [at, loaded] of steps) {
      time = 1000 + at;
      report(loaded, 100);
    }
    return told;
  };

  it("has a rate from the second report on, whatever came before the clock moved", () => {
    const told = run([
      [0, 10],
      [0, 20],
      [10, 100],
    ]);
    expect(told.slice(0, 2).map(({ bytesPerSecond }) => bytesPerSecond)).toEqual([0, 0]);
    expect(told[2]).toMatchObject({ phase: "weights", file: "m", loaded: 100, total: 100 });
    expect(told[2].bytesPerSecond).toBeCloseTo(10_000, 6);
  });

  it("has the rate itself where it is steady, however often it is told", () => {
    for (const step of [1, 70, 5000]) {
      const times = Array.from({ length: 200 }, (_, i): [number, number] => [(i + 1) * step, (i + 1) * step * 3]);
      for (const { bytesPerSecond } of run(times)) expect(bytesPerSecond).toBeCloseTo(3000, 6);
    }
  });

  it("follows a change within seconds", () => {
    const steps = Array.from({ length: 100 }, (_, i): [number, number] => [(i + 1) * 100, (i + 1) * 1000]);
    for (let i = 1; i <= 150; i++) steps.push([10_000 + i * 100, 100_000 + i * 100]);
    const last = run(steps).at(-1)!.bytesPerSecond;
    // 15 s after the change from 10,000 to 1,000 the old rate counts for exp(-5).
    expect(last).toBeGreaterThan(1000);
    expect(last).toBeLessThan(1000 + 9000 * Math.exp(-5) * 1.1);
  });
});
