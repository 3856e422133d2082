import { expect, it } from "vitest";
import { mismatch } from "../../src/support/error.ts";

it("an error is one line, whatever names are in it", () => {
  expect(mismatch("bad-input", "a\nb\r\n\u2028c", "a picture", "none", "check the path").message).toBe(
    "a b c: wanted a picture, found none; check the path.",
  );
});
