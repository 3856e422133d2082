import { describe, expect, it } from "vitest";
import { fuzz } from "./drive.ts";
import { TARGETS } from "./targets.ts";

// 20,000 cases, some 15 s of one core; a million in fuzz.long.ts.
describe("hostile files", () => {
  for (const { name, cases, harmless } of TARGETS) {
    it(`${name}: ${cases} cases are read or refused in a sentence, in bounds of time and memory`, async () => {
      const outcome = await fuzz(name, 0, cases);
      console.info(outcome);
      if (harmless) return expect(outcome.taken).toBe(cases);
      // Cases that all end alike would test little.
      expect(outcome.taken).toBeGreaterThan(cases / 50);
      expect(outcome.cases - outcome.taken).toBeGreaterThan(cases / 50);
      expect(outcome.sentences).toBeGreaterThan(4);
    });
  }
});
