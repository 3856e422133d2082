import { expect, it } from "vitest";
import { readTask } from "../../../src/bulk/queue/shard-queue.ts";

const task = { plan: "1", sources: ["m.jsonl"], shard: "0/1", out: "a.npy", model: "demo", vectors: "f32" };

it("a job of a queue is a task, or is refused in a sentence, whoever wrote it", () => {
  expect(readTask({ ...task, vectors: "i8" })).toMatchObject({ vectors: "i8" });
  const bad = { plan: 1, sources: "m.jsonl", shard: 0, out: undefined, model: {}, vectors: "f99" };
  const others = Object.entries(bad).map(([name, value]) => ({ ...task, [name]: value }));
  for (const data of [undefined, null, 5, "x", {}, { ...task, sources: [1] }, ...others]) {
    expect(() => readTask(data)).toThrow(/^a shard of the queue: wanted a task of siglip plan, found another job; /);
  }
});
