import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Batcher, type BatcherOptions, FullError, ItemError } from "../../src/serve/batcher.ts";
import { mismatch, type SiglipError } from "../../src/support/error.ts";

/** A batch that has begun, and how to end it. */
interface Begun {
  readonly items: readonly string[];
  readonly signal: AbortSignal;
  end(results?: readonly (string | SiglipError)[]): void;
  fail(error: Error): void;
}

let begun: Begun[];
function batcher(options: Partial<BatcherOptions<string, string>> = {}) {
  return new Batcher<string, string>({
    batch: 4,
    maxWait: 5,
    maxQueue: 10,
    atOnce: 1,
    run: (items, signal) =>
      new Promise((resolve, reject) => {
        const end = (results = items.map((item) => item.toUpperCase())) => resolve(results);
        begun.push({ items, signal, end, fail: reject });
      }),
    ...options,
  });
}
const sizes = () => begun.map(({ items }) => items.join(""));
const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);
const damaged = mismatch("bad-input", "the picture", "a sound one", "a damaged one", "mend it");

describe("a batcher", () => {
  beforeEach(() => {
    begun = [];
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("puts what comes within the wait into one batch, and gives each its own", async () => {
    const one = batcher();
    const first = one.add(["a"]);
    await pass(4);
    const second = one.add(["b", "c"]);
    expect([sizes(), one.waiting]).toEqual([[], 3]);
    await pass(1);
    expect([sizes(), one.waiting]).toEqual([["abc"], 0]);
    begun[0].end();
    expect(await Promise.all([first, second])).toEqual([["A"], ["B", "C"]]);
  });

  it("begins at once when it is full, and cuts a long call into several", async () => {
    const one = batcher({ atOnce: 2 });
    const all = one.add([..."abcdef"]);
    expect(sizes()).toEqual(["abcd"]);
    await pass(5);
    expect(sizes()).toEqual(["abcd", "ef"]);
    begun[1].end();
    begun[0].end();
    expect(await all).toEqual([..."ABCDEF"]);
  });

  it("runs no more at a time than it may, and what waited meanwhile follows at once", async () => {
    const one = batcher();
    const calls = [one.add([..."abcd"]), one.add(["e"]), one.add(["f"])];
    await pass(100);
    expect(sizes()).toEqual(["abcd"]);
    begun[0].end();
    await pass(0);
    expect(sizes()).toEqual(["abcd", "ef"]);
    begun[1].end();
    expect((await Promise.all(calls)).flat()).toEqual([..."ABCDEF"]);
  });

  it("takes one item of each call in turn, so that a long one keeps nobody waiting", async () => {
    const one = batcher({ maxQueue: 100 });
    const ended: string[] = [];
    const add = (name: string, items: string) =>
      one.add([...items]).then((results) => ended.push(`${name}: ${results.join("")}`));
    const calls = [
      add("long", "abcdefghijklm"),
      add("also long", "123456789"),
      add("short", "xyz"),
      add("single", "!"),
    ];
    // It goes away: its turn is nobody's.
    const gone = new AbortController();
    const leaving = one.add([..."-----"], gone.signal).catch(() => ended.push("gone"));
    for (let batch = 0; begun.length > batch; batch++) {
      begun[batch].end();
      if (batch === 1) gone.abort();
      await pass(5);
    }
    await Promise.all([...calls, leaving]);
    // The first batch began before the others came.
    expect(sizes()).toEqual(["abcd", "e1x!", "f2yg", "3zh4", "i5j6", "k7l8", "m9"]);
    expect(ended).toEqual(["gone", "single: !", "short: XYZ", "long: ABCDEFGHIJKLM", "also long: 123456789"]);
    expect(one.waiting).toBe(0);
  });

  it("refuses what the queue has no room for, and says when to come back", async () => {
    const one = batcher();
    const taken = one.add([..."abcd"]);
    await pass(2000);
    begun[0].end();
    await taken;
    const rest = [one.add([..."abcd"]), one.add([..."efghijklmn"])];
    const refused = await one.add(["o"]).catch((error) => error);
    expect(refused).toBeInstanceOf(FullError);
    expect(refused).toMatchObject({
      message: "queue: wanted at most 10 waiting, found 10 and 1 more; try again in 5 seconds.",
      retryAfter: 5,
    });
    for (let at = 1; at < 5; at++) {
      await pass(5);
      begun[at]?.end();
    }
    expect((await Promise.all(rest)).flat().length).toBe(14);
  });

  it("drops those who go away: from the queue, and a batch that nobody waits for is aborted", async () => {
    const one = batcher();
    const gone = new AbortController();
    const leaving = one.add([..."ab"], gone.signal).catch((error) => error);
    const staying = one.add(["c"]);
    await pass(5);
    const queued = one.add(["d"], gone.signal).catch((error) => error);
    gone.abort(new Error("left"));
    expect([await leaving, await queued]).toEqual([new Error("left"), new Error("left")]);
    expect([begun[0].signal.aborted, one.waiting]).toEqual([false, 0]);
    begun[0].end();
    expect(await staying).toEqual(["C"]);
    const alone = new AbortController();
    const last = one.add(["e"], alone.signal).catch((error) => error);
    await pass(5);
    alone.abort(new Error("left"));
    expect(await last).toEqual(new Error("left"));
    expect(begun[1].signal.aborted).toBe(true);
    await expect(one.add(["f"], alone.signal)).rejects.toThrow("left");
  });

  it("tells a bad item to its own call alone, by its number there", async () => {
    const one = batcher();
    const sound = one.add(["a"]);
    const bad = one.add([..."bcdefg"]).catch((error) => error);
    begun[0].end(["A", "B", damaged, "D"]);
    expect(await sound).toEqual(["A"]);
    const error = await bad;
    expect(error).toBeInstanceOf(ItemError);
    expect([error.index, error.cause]).toEqual([1, damaged]);
    await pass(50);
    expect([sizes(), one.waiting]).toEqual([["abcd"], 0]);
  });

  it("tells a batch's failure to all in it, and goes on with the next", async () => {
    const one = batcher();
    const lost = [one.add([..."ab"]), one.add([..."cd"])].map((call) => call.catch((error) => error.message));
    const next = one.add(["e"]);
    begun[0].fail(new Error("lost"));
    expect(await Promise.all(lost)).toEqual(["lost", "lost"]);
    await pass(5);
    begun[1].end();
    expect(await next).toEqual(["E"]);
    expect(await one.add([])).toEqual([]);
  });
});
