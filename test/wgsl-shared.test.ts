import { expect, it } from "vitest";
import { readShaders } from "../kernels/generate.ts";

/** The text of a function or struct in a shader, and what a shader has of it. */
function part(source: string, head: string): string | undefined {
  const from = source.indexOf(head);
  if (from < 0) return undefined;
  const end = source.indexOf("\n}", from);
  return source.slice(from, end);
}

// WGSL has no include, and every file is to be valid as it stands: what the forms of `linear` share is written in each; the matrix units have theirs in half precision.
for (const head of ["struct Eight {", "fn scale(", "fn signed_bytes(", "fn eight(", "struct Shape {"]) {
  it(`${head.replace(/ ?[{(]$/, "")} is the same in linear and linear_direct`, () => {
    const { linear, linear_direct } = readShaders();
    const sources = [linear, linear_direct];
    const texts = sources.map((source) => part(source, head));
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toBeDefined();
  });
}
