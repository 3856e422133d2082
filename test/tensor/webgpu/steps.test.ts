import { expect, it } from "vitest";
import { portions, type Step, workOf } from "../../../src/tensor/webgpu/steps.ts";

const run = (work: number, rows: number, split = true): Step => ({
  kind: "run",
  pipeline: {} as never,
  words: [7, 0],
  buffers: [],
  groups: [2, rows, 3],
  work,
  split,
});

async function collect(steps: Step[], budgets: number[]): Promise<Step[][]> {
  const found: Step[][] = [];
  const budget = async () => (budgets.length > 1 ? budgets.shift()! : budgets[0]);
  for await (const portion of portions(steps, budget)) found.push(portion);
  return found;
}

it("keeps what fits in one submit", async () => {
  const steps = [run(3, 4), run(3, 4), run(4, 4)];
  expect(await collect(steps, [10])).toEqual([steps]);
});

it("begins another submit where the budget ends, and asks for it anew", async () => {
  const works = (
    await collect(
      [1, 2, 3, 4, 5].map((work) => run(work, 1)),
      [3, 7, 100],
    )
  ).map((portion) => portion.map(workOf));
  expect(works).toEqual([[1, 2], [3, 4], [5]]);
});

it("cuts a dispatch that is too long by itself along y, every workgroup once", async () => {
  const pieces = (await collect([run(1, 1), run(100, 10), run(1, 1)], [25])).flat();
  const cut = pieces.filter((piece) => piece.kind === "run" && workOf(piece) > 1);
  expect(cut.map((piece) => piece.kind === "run" && [piece.words[1], piece.groups[1]])).toEqual([
    [0, 2],
    [2, 2],
    [4, 2],
    [6, 2],
    [8, 2],
  ]);
  expect(pieces.reduce((sum, piece) => sum + workOf(piece), 0)).toBeCloseTo(102);
});

it("runs whole what cannot be cut, however long", async () => {
  expect(await collect([run(100, 10, false), run(100, 1)], [1])).toHaveLength(2);
});
