import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EvalPictures, locate } from "../../src/cli/eval-pictures.ts";
import type { Siglip } from "../../src/node.ts";
import { SiglipError } from "../../src/support/error.ts";
import { temporaryFolder } from "../harness/cli.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (...names: string[]) => join(folder.path, ...names);

describe("pictures of an evaluation", () => {
  mkdirSync(at("val2014"));
  writeFileSync(at("val2014", "1.jpg"), "");
  writeFileSync(at("2.jpg"), "");
  const named = (...images: string[]) => images.map((image) => ({ image }));

  it("are sought where the data say, or else by their last names", async () => {
    expect(await locate(named("val2014/1.jpg", "val2014/9.jpg"), folder.path)).toEqual(
      named(at("val2014", "1.jpg"), at("val2014", "9.jpg")),
    );
    expect(await locate(named("val2014/1.jpg"), at("val2014"))).toEqual(named(at("val2014", "1.jpg")));
    expect(await locate(named("elsewhere/2.jpg", "https://x.y/a.jpg"), folder.path)).toEqual(
      named(at("2.jpg"), "https://x.y/a.jpg"),
    );
    expect(await locate(named(at("2.jpg")), at("val2014"))).toEqual(named(at("2.jpg")));
    await expect(locate(named("none.jpg"), folder.path)).rejects.toThrow(
      /wanted none\.jpg in it, found no such file; name the folder of the pictures by --images\.$/,
    );
  });

  const { signal } = new AbortController();
  /** A model that cannot read some pictures. */
  const modelWithout = (...bad: string[]) =>
    ({
      async *embedStream(items: readonly string[]) {
        for (let first = 0; first < items.length; first += 2) {
          const part = items.slice(first, first + 2);
          const embeddings = part.map((item) =>
            bad.includes(item) ? new SiglipError(`${item} is bad.`, { code: "bad-input" }) : Float32Array.of(first),
          );
          yield { first, items: part, embeddings };
        }
      },
    }) as unknown as Siglip;

  it("are left out where the first model cannot read them, and are the same for all", async () => {
    const set = new EvalPictures(named("a", "b", "c", "d"));
    const taken: [string, number][] = [];
    const take = (_: Float32Array, { image }: { image: string }, index: number) => void taken.push([image, index]);
    await set.each(modelWithout("a", "c"), { signal }, take);
    expect(taken).toEqual([
      ["b", 0],
      ["d", 1],
    ]);
    expect(set.incomplete("data")?.message).toMatch(/^data: wanted 4 pictures that can be read, found 2; /);
    await set.each(modelWithout("a"), { signal }, take);
    expect(taken.slice(2)).toEqual(taken.slice(0, 2));
    await expect(set.each(modelWithout("d"), { signal }, take)).rejects.toThrow("d is bad.");
    expect(set.failed.map(({ message }) => message)).toEqual(["a is bad.", "c is bad."]);
  });

  it("are not measured where none can be read", async () => {
    const set = new EvalPictures(named("a", "b"));
    await expect(set.each(modelWithout("a", "b"), { signal }, () => {})).rejects.toThrow("a is bad.");
  });
});
