import { describe, expect, it } from "vitest";
import type { LoadedModel } from "../../src/siglip/loaded.ts";
import { locate } from "../../src/siglip/locate.ts";
import { compare } from "../judge/compare.ts";
import { random } from "../judge/reference.ts";

interface Shape {
  readonly grid: readonly [rows: number, columns: number];
  readonly hidden: number;
  readonly heads: number;
}

/** A model of random keys and values, whose pooled output is what its head attends to. */
function modelOf({ grid, hidden, heads }: Shape) {
  const query = random(hidden, 1);
  const keys = random(grid[0] * grid[1] * 2 * hidden, 2);
  const pooled: Float32Array[] = [];
  const parts = {
    async probe(_: unknown, { tap }: { tap: (name: string, values: { data: Float32Array }) => void }) {
      tap("query", { data: query });
      return { data: keys };
    },
    async pool(data: Float32Array) {
      pooled.push(data);
      return { data };
    },
  };
  const model = {
    config: { vision: { patchSize: 1, channels: 3, head: true, heads, hidden }, image: { size: grid } },
    towers: { scale: 1, bias: 0, parts: async () => parts },
    platform: { prepare: async () => ({ patches: new Float32Array() }) },
  } as unknown as LoadedModel<undefined>;
  const texts = { data: random(hidden, 3), shape: [1, hidden] as const };
  const classifier = async () => ({ labels: ["a"], texts });
  const run = (signal?: AbortSignal) => locate(model, { classifier }, undefined, "a", { signal });
  return { query, keys, pooled, run };
}

describe("windows that are left out", () => {
  it("leave a softmax over the other patches", async () => {
    const [hidden, heads, rows, columns, side] = [12, 3, 8, 7, 2];
    const { query, keys, pooled, run } = modelOf({ grid: [rows, columns], hidden, heads });
    await run();
    const expected: number[] = [];
    const corners = [[rows, columns]];
    for (let top = 0; top + side <= rows; top++)
      for (let left = 0; left + side <= columns; left++) corners.push([top, left]);
    for (const [top, left] of corners) {
      const away = (token: number) => {
        const [row, column] = [Math.floor(token / columns), token % columns];
        return row >= top && row < top + side && column >= left && column < left + side;
      };
      for (let d = 0; d < hidden; d++) {
        const first = d - (d % (hidden / heads));
        let [sum, total] = [0, 0];
        for (let token = 0; token < rows * columns; token++) {
          if (away(token)) continue;
          let dot = 0;
          for (let i = first; i < first + hidden / heads; i++) dot += query[i] * keys[token * 2 * hidden + i];
          const weight = Math.exp(dot / Math.sqrt(hidden / heads));
          sum += weight * keys[(token * 2 + 1) * hidden + d];
          total += weight;
        }
        expected.push(sum / total);
      }
    }
    compare(pooled[0], Float32Array.from(expected), { shape: [corners.length, hidden], label: "rest", relative: 1e-5 });
  });

  it("let the event loop turn, and a call be aborted", async () => {
    const { pooled, run } = modelOf({ grid: [64, 64], hidden: 512, heads: 8 });
    await expect(run(AbortSignal.timeout(20))).rejects.toThrow("timeout");
    expect(pooled).toEqual([]);
  });

  it("are none where there is a single patch, which is the hottest", async () => {
    const [map] = await modelOf({ grid: [1, 1], hidden: 12, heads: 3 }).run();
    expect(map).toMatchObject({ shape: [1, 1], hottest: [0, 0], data: new Float32Array(1) });
  });
});
