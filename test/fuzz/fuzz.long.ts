import { describe, expect, it } from "vitest";
import { fuzz } from "./drive.ts";
import { TARGETS } from "./targets.ts";

// A million cases; the first of each target are those of fuzz.test.ts.
describe("hostile files", () => {
  for (const { name, cases } of TARGETS) {
    it(`${name}: ${50 * cases} cases`, async () => {
      const outcome = await fuzz(name, 0, 50 * cases);
      console.info(outcome);
      expect(outcome.cases).toBe(50 * cases);
    });
  }
});
