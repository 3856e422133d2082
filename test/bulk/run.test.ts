import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Entry } from "../../src/bulk/entry.ts";
import { embedInto } from "../../src/bulk/run.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { embedding, entry, fakeEmbed, job } from "./fake.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
let count = 0;
const fresh = () => join(folder.path, `${count++}.jsonl`);

const entries = (from: number, to: number, stamp = "") =>
  Array.from({ length: to - from }, (_, index) => entry(`picture ${from + index}`, stamp));

/** The rows of a file: names and values. */
function rows(path: string): { name: string; embedding: number[] }[] {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line)).filter(({ name }) => name !== undefined);
}

/** Checks that a file holds just these, in this order. */
function expectRows(path: string, expected: readonly Entry[]): void {
  const found = rows(path);
  expect(found.map(({ name }) => name)).toEqual(expected.map(({ name }) => name));
  for (const [index, { name, stamp }] of expected.entries()) {
    expect(Float32Array.from(found[index].embedding)).toEqual(embedding(name + stamp));
  }
}

/** An embedder that notes what it is asked for, and fails as told. */
function noting(failAt = Number.POSITIVE_INFINITY) {
  const items: string[] = [];
  const embed = fakeEmbed(8, (batch) => {
    items.push(...batch);
    if (items.length > failAt) throw new Error("stopped here");
  });
  return { items, embed };
}

describe("embedding into a file", () => {
  it("writes all in the source's order, and does nothing the second time", async () => {
    const path = fresh();
    const wanted = [...entries(0, 20), ...entries(0, 3)];
    const first = await embedInto(job(path, wanted));
    expect(first).toMatchObject({ counts: { image: 23, text: 0 }, made: 20, written: true });
    expectRows(path, wanted);
    expect(readdirSync(folder.path)).not.toContain(`${path}.part`);
    const before = readFileSync(path);
    const { items, embed } = noting();
    expect(await embedInto(job(path, wanted, { embed }))).toMatchObject({ made: 0, written: false });
    expect(items).toEqual([]);
    expect(readFileSync(path)).toEqual(before);
  });

  it("does only what is new or changed, drops what is gone, and carries the rest over in a new order", async () => {
    const path = fresh();
    await embedInto(job(path, [...entries(0, 30), entry("a text", "", "text")]));
    const { items, embed } = noting();
    const wanted = [...entries(20, 30).reverse(), ...entries(0, 5), entry("picture 7", "changed"), entry("new")];
    const found = await embedInto(job(path, [entry("a text", "", "text"), ...wanted], { embed }));
    expect(found).toMatchObject({ counts: { image: 17, text: 1 }, made: 2, written: true });
    expect(items).toEqual(["picture 7changed", "new"]);
    expectRows(path, [...wanted, entry("a text", "", "text")]);
    // Nothing but one that is gone, then nothing but the order.
    for (const rest of [wanted, [...wanted].reverse()]) {
      await embedInto(job(path, rest, { embed: noting(0).embed }));
      expectRows(path, rest);
    }
  });

  it("goes on where it was stopped, with any number of journals", async () => {
    const path = fresh();
    const seen: string[] = [];
    for (let at = 0; at < 20; at++) {
      const { items, embed } = noting(8);
      await expect(embedInto(job(path, entries(0, 240), { embed }))).rejects.toThrow("stopped here");
      seen.push(...items.slice(0, 8));
      expect(existsSync(path)).toBe(false);
      expect(readdirSync(`${path}.part`)).toHaveLength(at + 1);
    }
    // As if these were runs of processes that have ended.
    for (const name of readdirSync(`${path}.part`)) {
      const bytes = readFileSync(join(`${path}.part`, name));
      mkdirSync(`${path}.ended`, { recursive: true });
      writeFileSync(join(`${path}.ended`, name.replace(/\.\d+\./, ".4194305.")), bytes);
    }
    const ended = `${path.replace(/\.jsonl$/, "")}-ended.jsonl`;
    mkdirSync(`${ended}.part`);
    for (const name of readdirSync(`${path}.ended`)) {
      writeFileSync(join(`${ended}.part`, name), readFileSync(join(`${path}.ended`, name)));
    }
    for (const place of [path, ended]) {
      const { items, embed } = noting(60);
      const mixed = [entry("a text", "", "text"), ...entries(0, 240)];
      await expect(embedInto(job(place, mixed, { embed }))).rejects.toThrow("stopped here");
      expect(readdirSync(`${place}.part`)).toHaveLength(place === ended ? 1 : 21);
      const rest = noting();
      await embedInto(job(place, entries(0, 240), { embed: rest.embed }));
      const all = [...seen, ...items.slice(0, 56), ...rest.items];
      expect(all).toEqual(entries(0, 240).map(({ name }) => name));
      expectRows(place, entries(0, 240));
      expect(existsSync(`${place}.part`)).toBe(false);
    }
  });

  it("believes nothing of a journal that is cut short or damaged", async () => {
    const whole = fresh();
    await embedInto(job(whole, entries(0, 40)));
    for (const damage of ["cut", "flip", "zero", "header"]) {
      const path = fresh();
      await expect(embedInto(job(path, entries(0, 40), { embed: noting(24).embed }))).rejects.toThrow();
      const [name] = readdirSync(`${path}.part`);
      const journal = join(`${path}.part`, name);
      const bytes = readFileSync(journal);
      const middle = Math.floor(bytes.length / 2);
      if (damage === "cut") truncateSync(journal, middle);
      else {
        if (damage === "flip") bytes[middle] ^= 1;
        if (damage === "zero") bytes.fill(0, middle, middle + 500);
        if (damage === "header") bytes[40] ^= 1;
        writeFileSync(journal, bytes);
      }
      const { items, embed } = noting();
      await embedInto(job(path, entries(0, 40), { embed }));
      expect(items.length).toBeGreaterThan(16);
      expect(readFileSync(path)).toEqual(readFileSync(whole));
    }
  });

  it("names what fails, keeps the others, and tries it again", async () => {
    const path = fresh();
    const gone = { ...entry("gone"), load: () => embedInto(job(fresh(), [])).then(() => "") };
    const wanted = [entry("one"), entry("bad 1"), gone, entry("two"), entry("bad 1")];
    const { failures, counts } = await embedInto(job(path, wanted));
    expect(failures.messages).toEqual([
      expect.stringContaining("wanted something to embed, found nothing"),
      expect.stringMatching(/^bad 1: wanted a picture/),
    ]);
    expect(counts).toEqual({ image: 2, text: 0 });
    expectRows(path, [entry("one"), entry("two")]);
    const { items, embed } = noting();
    expect(await embedInto(job(path, wanted, { embed }))).toMatchObject({ made: 0, written: false });
    expect(items).toEqual(["bad 1"]);
    const embedNone = () => expect.unreachable("no model is needed to say that a file is gone");
    await embedInto(job(path, [gone, entry("one"), entry("two")], { embed: embedNone }));
    const nothing = await embedInto(job(path, [entry("bad 2")]));
    expect(nothing).toMatchObject({ written: false, failures: { count: 1 } });
    expectRows(path, [entry("one"), entry("two")]);
  });

  it("drops nothing of a source that could not be listed to its end", async () => {
    const path = fresh();
    await embedInto(job(path, entries(0, 20)));
    const wanted = [entry("new"), ...entries(10, 20)];
    const { counts } = await embedInto(job(path, wanted, { lacking: () => true }));
    expect(counts).toEqual({ image: 21, text: 0 });
    expectRows(path, [...wanted, ...entries(0, 10)]);
    await embedInto(job(path, wanted, { lacking: () => false }));
    expectRows(path, wanted);
  });

  it("has what has changed but once where the source could not be listed to its end", async () => {
    const path = fresh();
    await embedInto(job(path, [...entries(0, 3, "old"), entry("picture 0", "old", "text")]));
    const wanted = [...entries(0, 2, "new"), entry("bad 1")];
    const lacking = () => true;
    await embedInto(job(path, wanted, { lacking }));
    expectRows(path, [...entries(0, 2, "new"), ...entries(2, 3, "old"), entry("picture 0", "old", "text")]);
    await embedInto(job(path, entries(0, 2, "newer"), { lacking }));
    expectRows(path, [...entries(0, 2, "newer"), ...entries(2, 3, "old"), entry("picture 0", "old", "text")]);
  });

  it("removes nothing of the folder FILE.part that is not its own", async () => {
    const path = fresh();
    mkdirSync(`${path}.part`);
    writeFileSync(join(`${path}.part`, "letters.txt"), "mine");
    await embedInto(job(path, entries(0, 3)));
    expect(readdirSync(`${path}.part`)).toEqual(["letters.txt"]);
  });

  it("does not go on from embeddings of another model, unless it is to begin anew", async () => {
    const path = fresh();
    await embedInto(job(path, entries(0, 10)));
    const header = { width: 16, dtype: "f32", origin: { model: "another" } } as const;
    const other = () => job(path, entries(0, 10), { header });
    await expect(embedInto(other())).rejects.toThrow(
      /wanted embeddings of model another, found fake; .*--overwrite\.$/,
    );
    const stopped = { ...other(), embed: noting(8).embed, overwrite: true };
    await expect(embedInto(stopped)).rejects.toThrow("stopped here");
    await expect(embedInto(job(`${path}`, entries(0, 11)))).rejects.toThrow(/\.part: wanted .* found another; use/);
    const { items, embed } = noting();
    expect(await embedInto({ ...other(), embed, overwrite: true })).toMatchObject({ made: 2, written: true });
    expect(items).toEqual(["picture 8", "picture 9"]);
    writeFileSync(path, "something");
    await expect(embedInto(other())).rejects.toThrow(/wanted embeddings to go on from, found something else \(/);
  });

  it("says where what was made is when it is stopped or the disk refuses", async () => {
    const path = fresh();
    const stop = new AbortController();
    const embed = fakeEmbed(8, ([first]) => first === "picture 16" && stop.abort());
    const stopped = embedInto(job(path, entries(0, 40), { embed, signal: stop.signal }));
    await expect(stopped).rejects.toThrow(/^interrupted: the \d+ embeddings made so far are in .*\.part, and the same/);
    expect(existsSync(path)).toBe(false);
  });

  it("is done by two runs at once, each for itself", async () => {
    const path = fresh();
    const one = embedInto(job(path, entries(0, 100)));
    const slow = fakeEmbed(8, () => new Promise((resolve) => setTimeout(resolve, 2)));
    const other = embedInto(job(path, entries(0, 100), { embed: slow }));
    expect(await one).toMatchObject({ written: true });
    const early = readFileSync(path);
    expect(await other).toMatchObject({ written: true });
    expect(readFileSync(path)).toEqual(early);
    expect(existsSync(`${path}.part`)).toBe(false);
  });
});
