import { expect, it } from "vitest";
import { interrupt } from "./interrupt.ts";

it("a download loses and corrupts nothing when it is killed at random, 40 times", async () => {
  expect((await interrupt(40)).killed).toBe(40);
});
