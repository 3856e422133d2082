import { describe, expect, it } from "vitest";
import { cutByPicture, cutByText } from "../../src/web/search/relevant.ts";

const matches = (...scores: number[]) => scores.map((score, index) => ({ id: `${index}`, score }));

describe("hits that have nothing to do with a query", () => {
  const probability = (cosine: number) => cosine / 10;

  it("are cut where a text is improbable", () => {
    expect(cutByText(matches(0.9, 0.5, 0.01, 0.009, 0), probability)).toEqual({ count: 3, fit: true });
    expect(cutByText(matches(0.01), probability)).toEqual({ count: 1, fit: true });
  });

  it("are shown as the nearest, at most six, where none fits", () => {
    expect(cutByText(matches(...Array(10).fill(0)), probability)).toEqual({ count: 6, fit: false });
    expect(cutByText(matches(0, 0), probability)).toEqual({ count: 2, fit: false });
  });

  it("are cut where a picture is no more alike than most, but for six", () => {
    const others = Array.from({ length: 90 }, (_, i) => 0.3 - i / 1000);
    expect(cutByPicture(matches(1, ...Array(9).fill(0.8), ...others))).toEqual({ count: 10, fit: true });
    expect(cutByPicture(matches(1, ...others))).toEqual({ count: 6, fit: true });
    expect(cutByPicture(matches(0.5, 0.5))).toEqual({ count: 2, fit: true });
  });
});
