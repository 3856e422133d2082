import { expect, it } from "vitest";
import wabt from "wabt";
import { type Instructions, type KernelName, kernelModule, kernelNames } from "../../../kernels/wasm/index.ts";

const PLAIN = { madd: false, dot: false, dot8: false };
const RELAXED = { madd: true, dot: true, dot8: true };

const tools = await wabt();

function text(name: KernelName, instructions: Instructions): string {
  // wabt's validator knows no shared memory; engines are asked about it elsewhere.
  const bytes = kernelModule(name, instructions, { shared: false });
  const module = tools.readWasm(bytes, { readDebugNames: false, simd: true, relaxed_simd: true });
  // Throws where a type does not fit.
  module.validate();
  const wat = module.toText({ foldExprs: false, inlineExport: false });
  module.destroy();
  return wat;
}

/**
 * Of the innermost loop without a store that has most of these instructions: how many of each, and how many vectors it
 * holds in locals.
 */
function hottest(wat: string, instruction: string) {
  const loops = wat
    .split(/\bfunc \(/)
    .flatMap((body) => {
      const innermost = body
        .split(/^\s*loop\b/m)
        .slice(1)
        .map((part) => part.split(/^\s*end$/m)[0])
        .filter((part) => part.includes("br_if"));
      const types = [...body.matchAll(/\((?:param|local) ([a-z0-9 ]+)\)/g)].flatMap(([, names]) => names.split(" "));
      return innermost.map((code) => ({ code, types }));
    })
    .map(({ code, types }) => {
      const count = (pattern: string) => code.split(new RegExp(`^\\s*${pattern}(?:\\s|$)`, "m")).length - 1;
      const locals = new Set([...code.matchAll(/local\.(?:get|set|tee) (\d+)/g)].map(([, index]) => Number(index)));
      return {
        [instruction]: count(instruction.replaceAll(".", "\\.")),
        loads: count("v128\\.load\\S*"),
        stores: count("v128\\.store\\S*"),
        vectors: [...locals].filter((index) => types[index] === "v128").length,
        pointers: [...locals].filter((index) => types[index] === "i32").length,
      };
    });
  return loops.filter(({ stores }) => stores === 0).sort((a, b) => b[instruction] - a[instruction])[0];
}

// x64 gives fifteen registers to vectors and some eleven to pointers: one more of either and the loop takes twice as
// long.
it("holds what the loops of f32 hold in registers", () => {
  for (const name of ["linear-f32-f32", "attention"] as const) {
    const block = { loads: 2 + 6, stores: 0, vectors: 12 + 3, pointers: 6 + 2 };
    expect(hottest(text(name, RELAXED), "f32x4.relaxed_madd")).toEqual({ "f32x4.relaxed_madd": 12, ...block });
    const plain = { loads: 2 + 4, stores: 0, vectors: 8 + 3, pointers: 4 + 2 };
    expect(hottest(text(name, PLAIN), "f32x4.mul")).toEqual({ "f32x4.mul": 8, ...plain });
  }
});

it("holds what the loops of integers hold in registers", () => {
  const shorts = { loads: 2 + 4, stores: 0, vectors: 8 + 3, pointers: 4 + 2 };
  for (const name of ["linear-i14-i16", "linear-q8-i16", "linear-q4-i16"] as const) {
    expect(hottest(text(name, PLAIN), "i32x4.dot_i16x8_s")).toEqual({ "i32x4.dot_i16x8_s": 8, ...shorts });
  }
  const bytes = { loads: 2 + 6, stores: 0, vectors: 12 + 3, pointers: 6 + 2 };
  const dot = "i32x4.relaxed_dot_i8x16_i7x16_add_s";
  for (const name of ["linear-q8-i8x2", "linear-q8-i8", "linear-q4-i8", "attention-integers"] as const) {
    expect(hottest(text(name, RELAXED), dot)).toEqual({ [dot]: 12, ...bytes });
  }
});

it("makes its constants before anything else", () => {
  for (const instructions of [PLAIN, RELAXED]) {
    for (const name of kernelNames(instructions)) {
      const rest = text(name, instructions)
        .split(/\bfunc \(/)
        .map((body) =>
          body
            .split(/^\s*(?:i32\.const|local\.get)\b/m)
            .slice(1)
            .join(""),
        );
      expect([name, rest.filter((code) => code.includes("v128.const"))]).toEqual([name, []]);
    }
  }
});

it("is small", () => {
  for (const instructions of [PLAIN, RELAXED]) {
    for (const name of kernelNames(instructions)) {
      const { length } = kernelModule(name, instructions, { shared: true });
      expect([name, length < 12000]).toEqual([name, true]);
      expect(text(name, instructions)).toContain('(export "run"');
    }
  }
});
