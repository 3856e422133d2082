import { mismatch } from "../../support/error.ts";

/** Values for the top-level `const NAME = …;` and `alias name = …;` of a shader. Numbers are written as u32. */
export type Constants = Readonly<Record<string, number | boolean | string>>;

/**
 * The one mechanism by which a kernel has variants: the value of a top-level `const` or `alias` is replaced.
 * `enable f16;` is put in front where the result speaks of f16.
 */
export function specialise(source: string, constants: Constants): string {
  let text = source;
  for (const [name, constant] of Object.entries(constants)) {
    const line = new RegExp(`^(const|alias) ${name} = [^;]*;`, "m");
    if (!line.test(text)) throw mismatch("bad-input", "A kernel", `a const or alias ${name}`, "none", "see kernels/");
    const value = typeof constant === "number" ? `${constant}u` : constant;
    text = text.replace(line, (_, keyword) => `${keyword} ${name} = ${value};`);
  }
  return /\bf16\b/.test(text) ? `enable f16;\n${text}` : text;
}
