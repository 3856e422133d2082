import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Siglip, SiglipError } from "../../src/node.ts";
import { stream, type Way } from "../../src/siglip/stream.ts";
import { example } from "./demo.ts";

/** Numbers as items: each becomes itself, beside 1; 13 is no number that can be embedded. */
function numbers(over: Partial<Way<number, number>> = {}): Way<number, number> {
  return {
    batch: 3,
    async prepare(item) {
      if (item === 13) throw new SiglipError("13: wanted luck, found none; try 14.", { code: "bad-input" });
      return item;
    },
    run: async (prepared) => Float32Array.from(prepared.flatMap((item) => [item, 1])),
    ...over,
  };
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const shown = (one: Float32Array | SiglipError) => (one instanceof SiglipError ? one.message : one[0] / one[1]);

describe("a stream", () => {
  it("gives every item in order, or what is wrong with it, however long each takes", async () => {
    const way = numbers({
      async prepare(item, signal, index) {
        expect(index).toBe(item - 10);
        await new Promise((resolve) => setTimeout(resolve, (item * 7) % 5));
        return numbers().prepare(item, signal, index);
      },
    });
    async function* items() {
      for (let item = 10; item < 18; item++) yield item;
    }
    const found = [];
    for await (const { first, items: part, embeddings } of stream(items(), way)) {
      found.push([
        first,
        [...part],
        embeddings.map((one) => (one instanceof SiglipError ? "bad" : Math.round(shown(one) as number))),
      ]);
    }
    expect(found).toEqual([
      [0, [10, 11, 12], [10, 11, 12]],
      [3, [13, 14, 15], ["bad", 14, 15]],
      [6, [16, 17], [16, 17]],
    ]);
  });

  it("prepares the next two batches while one is in the tower, and no more while nobody reads", async () => {
    const told: string[] = [];
    const way = numbers({
      batch: 1,
      atOnce: 1,
      async prepare(item) {
        told.push(`prepare ${item}`);
        return item;
      },
      async run([item]) {
        told.push(`run ${item}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
        told.push(`ran ${item}`);
        return Float32Array.of(item, 1);
      },
    });
    const reader = stream([1, 2, 3, 4, 5, 6], way);
    await reader.next();
    expect(told.toSorted()).toEqual(["prepare 1", "prepare 2", "prepare 3", "ran 1", "run 1", "run 2"]);
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(told.filter((one) => one.startsWith("prepare"))).toHaveLength(3);
    await reader.return();
    expect(told.filter((one) => one.startsWith("run")).length).toBe(3);
  });

  it("prepares so many at a time as it is told, the earliest first, across batches", async () => {
    let [now, most] = [0, 0];
    const order: number[] = [];
    const way = numbers({
      atOnce: 5,
      async prepare(item) {
        order.push(item);
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve, 2));
        now--;
        return item;
      },
    });
    const items = Array.from({ length: 20 }, (_, i) => i + 20);
    await collected(stream(items, way));
    expect(most).toBe(5);
    expect(order).toEqual(items);
  });

  it("gives what came before a source that fails, and leaves one that waits for ever", async () => {
    async function* failing() {
      yield* [1, 2, 3];
      throw new Error("no more");
    }
    const seen: number[] = [];
    const all = (async () => {
      for await (const { items } of stream(failing(), numbers({ batch: 2 }))) seen.push(...items);
    })();
    await expect(all).rejects.toThrow("no more");
    expect(seen).toEqual([1, 2]);
    let closed = false;
    async function* waiting() {
      try {
        yield 1;
        yield 2;
        await new Promise(() => {});
      } finally {
        closed = true;
      }
    }
    for await (const { items } of stream(waiting(), numbers({ batch: 2 }))) {
      expect(items).toEqual([1, 2]);
      break;
    }
    expect(closed).toBe(false);
  });

  it("ends with what is wrong with more than one item, and with the signal's reason", async () => {
    const broken = numbers({ run: () => Promise.reject(new SiglipError("gone", { code: "out-of-memory" })) });
    await expect(collected(stream([1], broken))).rejects.toThrow("gone");
    const odd = numbers({ prepare: () => Promise.reject(new TypeError("a bug")) });
    await expect(collected(stream([1], odd))).rejects.toThrow("a bug");
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(collected(stream([1], numbers(), signal))).rejects.toThrow("enough");
    await expect(collected(stream([1], numbers({ batch: 0 })))).rejects.toThrow(/batch: wanted/);
  });
});

describe("a model's stream", async () => {
  const model = await Siglip.load("demo", { backend: "wasm" });
  const cats = example("two-cats.png");

  it("has a bad picture cost the others nothing", async () => {
    const wanted = await model.embedImages([cats]);
    const damaged = new Uint8Array(readFileSync(cats)).subarray(0, 500);
    const items = [cats, "nowhere.png", damaged, cats];
    const [batch] = await collected(model.embedStream(items, { batch: 4 }));
    expect(batch.items).toEqual(items);
    expect(batch.embeddings.map((one) => (one instanceof SiglipError ? one.code : "sound"))).toEqual([
      "sound",
      "not-found",
      "bad-input",
      "sound",
    ]);
    expect(batch.embeddings[3]).toEqual(wanted.data);

    const { data, shape, skipped } = await model.embedImages(items, { onError: "skip" });
    expect(shape).toEqual([2, model.dim]);
    expect(data.subarray(model.dim)).toEqual(wanted.data);
    expect(skipped!.map(({ index, error }) => `${index} ${error.code}`)).toEqual(["1 not-found", "2 bad-input"]);
  });

  it("takes texts from an iterator, and names what is no text", async () => {
    const texts = (function* () {
      yield* ["2 cats", "a plane", 7 as never, "pizza"];
    })();
    const batches = await collected(model.embedStream(texts, { kind: "text", batch: 2 }));
    const { data } = await model.embedTexts(["2 cats", "a plane", "pizza"]);
    const all = batches.flatMap(({ embeddings }) => embeddings);
    expect(all[2]).toMatchObject({ code: "bad-input", message: expect.stringMatching(/^text 2: /) });
    expect(all.filter((one) => !(one instanceof SiglipError)).flatMap((one) => [...(one as Float32Array)])).toEqual([
      ...data,
    ]);
  });

  it("refuses what it cannot go through, and kinds that there are not", async () => {
    const refused = (items: unknown, options = {}) =>
      expect(collected(model.embedStream(items as string[], options))).rejects.toThrow(
        /^(embedStream: wanted something iterable|kind: wanted "image" or "text"), found [^;]*; [^;]*\.$/,
      );
    await Promise.all([undefined, 5, `${cats}`].map((items) => refused(items)));
    await refused([cats], { kind: "texts" });
  });

  it("runs a batch again whose device is lost, but not for ever", async () => {
    const { towers } = (model as unknown as { kept: { towers: { text(...all: unknown[]): Promise<unknown> } } }).kept;
    const text = towers.text;
    let losses = 2;
    towers.text = async (...all) => {
      if (losses-- > 0) throw new SiglipError("It was lost.", { code: "device-lost" });
      return text.apply(towers, all);
    };
    try {
      expect(await collected(model.embedStream(["2 cats"], { kind: "text" }))).toHaveLength(1);
      losses = 3;
      const lost = collected(model.embedStream(["2 cats"], { kind: "text" }));
      await expect(lost).rejects.toMatchObject({ code: "device-lost" });
      losses = 1;
      await expect(model.embedTexts(["2 cats"])).rejects.toMatchObject({ code: "device-lost" });
    } finally {
      towers.text = text;
    }
  });
});
