import { expect, it } from "vitest";
import type { NextPicture, RemoteModel, TakeResults } from "../../src/web/models/remote.ts";
import type { Found } from "../../src/web/search/files.ts";
import { Indexer } from "../../src/web/search/indexer.ts";

const picture = (path: string, open = async () => new File([], path)): Found => ({
  ...{ id: path, folder: "f", path, open },
});

/** An indexer of pictures whose model embeds them two by two, as `embed` says, and what it tells. */
function indexerOf(pictures: readonly Found[], embed: (names: string[]) => (Float32Array | string)[]) {
  const told = { embedded: [] as string[], failed: [] as string[] };
  let streams = 0;
  const model = {
    async embedStream(next: NextPicture, take: TakeResults) {
      streams++;
      for (let done = false; !done; ) {
        const names: string[] = [];
        while (names.length < 2 && !done) {
          const file = (await next()) as File | undefined;
          if (file) names.push(file.name);
          else done = true;
        }
        if (names.length > 0) await take(embed(names));
      }
    },
  } as unknown as RemoteModel;
  const indexer: Indexer = new Indexer(model, pictures, {
    async onEmbedded(entries) {
      told.embedded.push(...entries.map(({ picture }) => picture.path));
    },
    onFailed: ({ path }, message) => void told.failed.push(`${path}: ${message}`),
    onChange: () => {},
  });
  return { indexer, told, streams: () => streams };
}

const sound = (names: string[]) => names.map(() => Float32Array.of(1));

it("a picture that does not open or does not decode costs the others nothing", async () => {
  const gone = async () => Promise.reject(new Error("it is gone"));
  const pictures = [picture("a"), picture("b", gone), picture("c"), picture("d"), picture("e", gone)];
  const { indexer, told } = indexerOf(pictures, (names) =>
    names.map((name) => (name === "c" ? "it is damaged" : Float32Array.of(1))),
  );
  await indexer.run();
  expect(told.embedded).toEqual(["a", "d"]);
  expect(told.failed).toEqual(["b: it is gone", "c: it is damaged", "e: it is gone"]);
  expect([indexer.done, indexer.running]).toEqual([5, false]);
});

it("a pause finishes what was begun, and going on takes up the rest", async () => {
  const pictures = ["a", "b", "c", "d", "e"].map((name) => picture(name));
  const { indexer, told, streams } = indexerOf(pictures, (names) => {
    if (names[0] === "a") indexer.pause(true);
    return sound(names);
  });
  const run = indexer.run();
  await expect.poll(() => told.embedded).toEqual(["a", "b"]);
  expect([indexer.running, indexer.paused]).toEqual([true, true]);
  indexer.pause(false);
  await run;
  expect(told.embedded).toEqual(["a", "b", "c", "d", "e"]);
  expect(streams()).toBe(2);
});

it("what ends the stream pauses it with a sentence, and going on tries the same pictures again", async () => {
  let fails = true;
  const { indexer, told } = indexerOf(
    ["a", "b", "c"].map((name) => picture(name)),
    (names) => {
      if (fails && names[0] === "c") throw new Error("no memory is left");
      return sound(names);
    },
  );
  const run = indexer.run();
  await expect.poll(() => indexer.problem).toBe("no memory is left");
  expect([told.embedded, indexer.paused]).toEqual([["a", "b"], true]);
  fails = false;
  indexer.pause(false);
  await run;
  expect([told.embedded, indexer.problem]).toEqual([["a", "b", "c"], undefined]);
});
