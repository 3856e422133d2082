import { expect, it } from "vitest";
import { paceOf } from "../../../src/bulk/queue/pace.ts";

const NOW = 1_700_000_000_000;
/** A shard of some rows that was in work from so many seconds ago to so many. */
const shard = (rows: number, from: number, to: number) => ({ rows, began: NOW - 1000 * from, ended: NOW - 1000 * to });

it("a queue's rate is that of the last ten minutes, and the rest is taken to be as large as what is done", () => {
  // 300 rows in 100 s, 150 of the shards in work: 3 more shards of 150, less what they have come to.
  const done = [shard(100, 100, 60), shard(200, 80, 10), shard(9999, 5000, 601)];
  expect(paceOf(done, 60, 3, NOW)).toEqual({ rate: 3.6, left: (3 * 150 - 60) / 3.6 });
  expect(paceOf(done, 0, 0, NOW)).toEqual({ rate: 3, left: 0 });
  // Those in work may come to more than was thought.
  expect(paceOf(done, 700, 2, NOW)).toEqual({ rate: 10, left: 0 });
});

it("a queue has no rate before a shard is done, and no end where nothing comes of shards", () => {
  expect(paceOf([], 500, 3, NOW)).toEqual({});
  expect(paceOf([shard(10, 5000, 700)], 500, 3, NOW)).toEqual({});
  expect(paceOf([shard(0, 10, 5)], 0, 3, NOW)).toEqual({ rate: 0 });
  expect(paceOf([shard(10, 0, 0)], 0, 1, NOW)).toEqual({ rate: 10, left: 1 });
});
