import { expect, it } from "vitest";
import { interrupt } from "./interrupt.ts";

// 200 in interrupt.more.ts.
it("embedding loses, doubles and damages nothing when it is killed at random, 10 times", async () => {
  expect((await interrupt(10)).killed).toBe(10);
});
