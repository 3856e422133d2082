import { describe, expect, it } from "vitest";
import { retrievalMetrics } from "../../src/evaluate/metrics.ts";
import { Pairs } from "../../src/evaluate/pairs.ts";
import { retrievalPlaces } from "../../src/evaluate/retrieval.ts";
import { recall } from "../model/retrieval.ts";

const resampling = { resamples: 50, seed: 1 };

/** Embeddings whose dot products are these scores [images][texts]: images are unit vectors, texts the columns. */
function embed(scores: readonly (readonly number[])[]) {
  const [n, m] = [scores.length, scores[0].length];
  const images = Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
  const texts = Float32Array.from({ length: m * n }, (_, i) => scores[i % n][Math.floor(i / n)]);
  return [
    { data: images, shape: [n, n] as const },
    { data: texts, shape: [m, n] as const },
  ] as const;
}

async function measure(scores: readonly (readonly number[])[], owner: readonly number[]) {
  const [images, texts] = embed(scores);
  const own = Uint32Array.from(owner);
  const pairs = new Pairs();
  const places = await retrievalPlaces(images, texts, own, { pairs });
  const metrics = retrievalMetrics(places, own, resampling);
  return { places, pairs, metrics: Object.fromEntries(metrics.map((metric) => [metric.name, metric])) };
}

describe("retrieval", () => {
  // Three pictures A, B, C with two captions each: a1 a2 b1 b2 c1 c2.
  //        a1   a2   b1   b2   c1   c2
  //  A    .9   .1   .8   .2   .3   .2
  //  B    .5   .2   .7   .1   .75  .3
  //  C    .4   .3   .6   .3   .5   .4
  // Text to image, the place of the own picture in its column: a1 0 (.9 is best), a2 2 (.2 and .3 are better), b1 1
  // (.8), b2 2 (.2 and .3), c1 1 (.75), c2 0. Two of six are first: R@1 = 1/3.
  // Image to text, the place of the best own caption in its row: A 0 (.9), B 1 (.7 after .75), C 1 (.5 after .6):
  // R@1 = 1/3; all are among the first five: R@5 = 1.
  const scores = [
    [0.9, 0.1, 0.8, 0.2, 0.3, 0.2],
    [0.5, 0.2, 0.7, 0.1, 0.75, 0.3],
    [0.4, 0.3, 0.6, 0.3, 0.5, 0.4],
  ];
  const owner = [0, 0, 1, 1, 2, 2];

  it("ranks pictures for captions and captions for pictures as worked out by hand", async () => {
    const { places, metrics, pairs } = await measure(scores, owner);
    expect([...places.images.place]).toEqual([0, 2, 1, 2, 1, 0]);
    expect([...places.texts.place]).toEqual([0, 1, 1]);
    expect(metrics["text to image R@1"].value).toBeCloseTo(1 / 3, 12);
    expect(metrics["image to text R@1"].value).toBeCloseTo(1 / 3, 12);
    expect(metrics["image to text R@5"].value).toBe(1);
    // Five of three pictures, or ten of six captions, would say nothing.
    expect(Object.keys(metrics)).toEqual(["text to image R@1", "image to text R@1", "image to text R@5"]);
    expect(pairs.counts).toEqual({ matching: 6, others: 12 });
  });

  it("takes equal scores in the order of the data, and tells what hangs on it", async () => {
    // Every score is the same: by order the first picture is found by its captions, and finds the first of them; all
    // fail if equals come before, and all succeed if they come after.
    const same = await measure(
      scores.map((row) => row.map(() => 0.5)),
      owner,
    );
    expect([...same.places.images.place]).toEqual([0, 0, 1, 1, 2, 2]);
    expect([...same.places.texts.place]).toEqual([0, 2, 4]);
    expect(same.metrics["text to image R@1"]).toMatchObject({ value: 1 / 3, ties: [0, 1] });
    expect(same.metrics["image to text R@1"]).toMatchObject({ value: 1 / 3, ties: [0, 1] });
    // Another picture's caption that is its own caption's twin ties with it; one's own second caption never does.
    const twin = await measure(
      [
        [0.9, 0.9, 0.1],
        [0.3, 0.6, 0.6],
      ],
      [0, 0, 1],
    );
    expect(twin.metrics["image to text R@1"]).toMatchObject({ value: 0.5, ties: [0.5, 1] });
    expect(twin.metrics["text to image R@1"]).toMatchObject({ value: 1, ties: [1, 1] });
  });

  it("agrees with another way to count, over the edges of blocks", async () => {
    let state = 1;
    const random = () => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const [n, m, width] = [67, 259, 19];
    const rows = (count: number) => ({
      data: Float32Array.from({ length: count * width }, () => random() - 0.5),
      shape: [count, width] as const,
    });
    const [images, texts] = [rows(n), rows(m)];
    const owner = Uint32Array.from({ length: m }, (_, text) => (text < n ? text : Math.floor(random() * n)));
    const logits = Float32Array.from({ length: n * m }, (_, i) => {
      let sum = 0;
      for (let d = 0; d < width; d++) {
        sum += images.data[Math.floor(i / m) * width + d] * texts.data[(i % m) * width + d];
      }
      return sum;
    });
    const metrics = retrievalMetrics(await retrievalPlaces(images, texts, owner), owner, resampling);
    const found = Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
    for (const k of [1, 5, 10]) {
      const { toImage, toText } = recall(logits, [...owner], k);
      expect(found[`text to image R@${k}`]).toBeCloseTo(toImage, 12);
      expect(found[`image to text R@${k}`]).toBeCloseTo(toText, 12);
    }
  });

  it("stops when it is told to", async () => {
    const [images, texts] = embed(scores);
    const stopped = AbortSignal.abort(new Error("enough"));
    const many = { data: new Float32Array(3 * 40000), shape: [40000, 3] as const };
    const owner = Uint32Array.from({ length: 6 }, (_, text) => text);
    await expect(retrievalPlaces(many, texts, owner, { signal: stopped })).rejects.toThrow("enough");
    expect(images.shape).toEqual([3, 3]);
  });
});
