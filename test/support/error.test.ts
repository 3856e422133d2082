import { expect, it } from "vitest";
import { mismatch } from "../../src/support/error.ts";

it("an error is one line, whatever names are in it", () => {
  const name = "a\nb\r\u2028c\u001b[2Jd\u0000\u0085e";
  expect(mismatch("bad-input", name, "a picture", "none", "check the path").message).toBe(
    "a b c [2Jd e: wanted a picture, found none; check the path.",
  );
});
