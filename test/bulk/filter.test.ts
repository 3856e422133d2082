import { describe, expect, it } from "vitest";
import { type FilterOptions, filter, type Question } from "../../src/bulk/filter.ts";
import type { Kind } from "../../src/search/vectors.ts";
import { mismatch } from "../../src/support/error.ts";
import { embedding } from "./fake.ts";

const question = (name: string, kind: Kind = "image", id?: number): Question => ({
  kind,
  id,
  name,
  load: async () => name,
});
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Options that note batches and what is written. */
function noting(more: Partial<FilterOptions> = {}) {
  const batches: number[] = [];
  const written: string[] = [];
  const options: FilterOptions = {
    size: async () => 8,
    embed: async (_, items) => {
      batches.push(items.length);
      await pause(1);
      return items.map((item) =>
        `${item}`.startsWith("bad")
          ? mismatch("bad-input", `${item}`, "a picture", "none", "skip it")
          : embedding(`${item}`),
      );
    },
    write: async (lines) => void written.push(lines),
    ...more,
  };
  const lines = () =>
    written
      .join("")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  return { batches, written, options, lines };
}

describe("the filter", () => {
  it("answers pictures and texts in the order of the questions, in whole batches, errors among them", async () => {
    const names = Array.from({ length: 600 }, (_, index) => (index % 50 === 7 ? `bad ${index}` : `item ${index}`));
    const { batches, options, lines } = noting();
    async function* all() {
      for (const [index, name] of names.entries()) {
        yield question(name, index % 3 === 0 ? "text" : "image", index % 2 === 0 ? index : undefined);
      }
    }
    expect(await filter(all(), options)).toEqual({ answered: 600, failed: 12 });
    expect(lines().map(({ id, name }) => name ?? names[id])).toEqual(names);
    for (const { id, name, embedding: values, error } of lines()) {
      const item = name ?? names[id];
      if (item.startsWith("bad")) expect(error).toMatch(/wanted a picture/);
      else expect(Float32Array.from(values)).toEqual(embedding(item));
    }
    expect(batches.filter((size) => size < 8).length).toBeLessThanOrEqual(2);
  });

  it("does not have one question wait for the next", async () => {
    const { written, options } = noting();
    async function* slow() {
      for (const name of ["one", "two", "three"]) {
        yield question(name);
        await expect.poll(() => written.join(""), { interval: 5, timeout: 2000 }).toContain(`"${name}"`);
      }
    }
    expect(await filter(slow(), options)).toEqual({ answered: 3, failed: 0 });
    expect(written).toHaveLength(3);
  });

  it("asks for no more than it can write, and ends with what no item is to blame for", async () => {
    let asked = 0;
    async function* endless() {
      for (;;) yield question(`item ${asked++}`);
    }
    const never = noting({ write: () => new Promise(() => {}) });
    const stop = new AbortController();
    const stuck = filter(endless(), { ...never.options, signal: stop.signal });
    await pause(50);
    expect(asked).toBeLessThan(300);
    stop.abort(new Error("stopped"));
    await expect(stuck).rejects.toThrow("stopped");
    const lost = mismatch("device-lost", "device", "one", "none", "call again");
    await expect(filter(endless(), noting({ embed: () => Promise.reject(lost) }).options)).rejects.toBe(lost);
    const gone = mismatch("not-found", "model", "a folder", "none", "name another");
    await expect(filter(endless(), noting({ size: () => Promise.reject(gone) }).options)).rejects.toBe(gone);
  });

  it("answers what was asked before the questions broke off", async () => {
    const broken = mismatch("bad-input", "stdin:3", "text in UTF-8", "other bytes", "convert it");
    async function* breaking() {
      yield question("one");
      yield question("two");
      throw broken;
    }
    const { options, lines } = noting();
    await expect(filter(breaking(), options)).rejects.toBe(broken);
    expect(lines().map(({ name }) => name)).toEqual(["one", "two"]);
  });
});
