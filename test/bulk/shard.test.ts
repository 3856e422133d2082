import { describe, expect, it } from "vitest";
import { isInShard, parseShard, readShard, showShard } from "../../src/bulk/shard.ts";

describe("parseShard", () => {
  it.each([
    ["0/1", { index: 0, count: 1 }],
    ["7/100", { index: 7, count: 100 }],
    ["7", { index: 7, count: undefined }],
  ])("reads %s", (text, shard) => {
    expect(parseShard(text, {})).toEqual(shard);
  });

  it.each([
    ["", /wanted i\/n/],
    ["1/0", /one shard or more/],
    ["3/3", /a number from 0 to 2, found 3/],
    ["-1/3", /wanted i\/n/],
    ["1/2/3", /wanted i\/n/],
    ["0x1/3", /wanted i\/n/],
    ["auto", /found none of them; run it as an array/],
    ["auto/8", /found none of them/],
  ])("refuses %j", (text, message) => {
    expect(() => parseShard(text, {})).toThrow(message);
  });

  const slurm = (id: string, count: string, min?: string, max?: string, step?: string) => ({
    SLURM_ARRAY_TASK_ID: id,
    SLURM_ARRAY_TASK_COUNT: count,
    ...(min && { SLURM_ARRAY_TASK_MIN: min, SLURM_ARRAY_TASK_MAX: max, SLURM_ARRAY_TASK_STEP: step }),
  });

  it.each([
    [slurm("3", "8"), 3, 8],
    [slurm("1", "8", "1", "8", "1"), 0, 8],
    [slurm("14", "3", "10", "14", "2"), 2, 3],
    [slurm("8", "3", "0", "9", "4"), 2, 3],
    [slurm("5", "1", "5", "5", "1"), 0, 1],
  ])("takes Slurm's %o as %i of %i", (env, index, count) => {
    expect(parseShard("auto", env)).toEqual({ index, count });
  });

  it.each([
    [slurm("7", "3", "1", "7", "1"), /Slurm's tasks in even steps, found task 7 of 3 from 1 to 7 by 1/],
    [{ SLURM_ARRAY_TASK_ID: "7" }, /a whole number in SLURM_ARRAY_TASK_COUNT, found none/],
    [slurm("x", "3"), /a whole number in SLURM_ARRAY_TASK_ID, found "x"/],
    [{ JOB_COMPLETION_INDEX: "1.5" }, /a whole number in JOB_COMPLETION_INDEX/],
  ])("refuses %o", (env, message) => {
    expect(() => parseShard("auto", env)).toThrow(message);
  });

  it("takes the number alone from the environment where the count is given", () => {
    expect(parseShard("auto/8", { JOB_COMPLETION_INDEX: "5" })).toEqual({ index: 5, count: 8 });
    expect(parseShard("auto/8", slurm("5", "1", "5", "5", "1"))).toEqual({ index: 5, count: 8 });
    expect(parseShard("auto", { JOB_COMPLETION_INDEX: "5" })).toEqual({ index: 5, count: undefined });
    expect(() => parseShard("auto/4", { JOB_COMPLETION_INDEX: "5" })).toThrow(/from 0 to 3, found 5/);
  });
});

describe("a source in shards", () => {
  const names = Array.from({ length: 3000 }, (_, index) => `photos/${index}.jpg`);

  it("has every name in one of them, by a hash that is the same for ever", () => {
    const count = 7;
    const shards = Array.from({ length: count }, (_, index) =>
      names.filter((name) => isInShard(name, { index, count })),
    );
    const sizes = shards.map(({ length }) => length);
    const all = shards.flat();
    expect(all.sort()).toEqual([...names].sort());
    expect(Math.min(...sizes)).toBeGreaterThan(350);
    expect(Math.max(...sizes)).toBeLessThan(510);
    expect([0, 1, 2].filter((index) => isInShard("a ü 猫.jpg", { index, count: 3 }))).toEqual([2]);
  });

  it("is named in words that are read back", () => {
    expect(readShard(showShard({ index: 3, count: 8 }))).toEqual({ index: 3, count: 8 });
    for (const text of [undefined, "", "8 of 8", "3/8"]) expect(readShard(text)).toBeUndefined();
  });
});
