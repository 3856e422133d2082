import { expect, it } from "vitest";
import { readShaders } from "../../../kernels/generate.ts";

/** The text of a function or struct in a shader, and what a shader has of it. */
function part(source: string, head: string): string | undefined {
  const from = source.indexOf(head);
  if (from < 0) return undefined;
  const end = source.indexOf("\n}", from);
  return source.slice(from, end);
}

// WGSL has no include, and every file is to be valid as it stands: what the forms of `linear` share is written in each; the matrix units have theirs in half precision.
for (const head of [
  "struct Stored {",
  "struct Eight {",
  "fn load(",
  "fn signed_bytes(",
  "fn nibbles(",
  "fn widen(",
  "struct Shape {",
]) {
  it(`${head.replace(/ ?[{(]$/, "")} is the same in linear, linear_direct and linear_split`, () => {
    const { linear, linear_direct, linear_split } = readShaders();
    const sources = [linear, linear_direct, linear_split];
    const texts = sources.map((source) => part(source, head));
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toBeDefined();
  });
}

for (const head of ["fn eight(", "fn finish(", "fn total("]) {
  it(`${head.slice(0, -1)} is the same in linear_direct and linear_split`, () => {
    const { linear_direct, linear_split } = readShaders();
    expect(part(linear_split, head)).toBeDefined();
    expect(part(linear_split, head)).toBe(part(linear_direct, head));
  });
}
