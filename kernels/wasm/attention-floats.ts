import type { Module } from "./assembler.ts";
import type { AttentionParts } from "./attention-parts.ts";
import { addBlock, blockRows, rowPointers } from "./block.ts";
import { i32 } from "./instructions.ts";
import { PANEL } from "./linear.ts";
import type { Instructions } from "./math.ts";

/** Everything as it is, queries where they lie. */
export function floatParts(m: Module, instructions: Instructions): AttentionParts {
  const block = addBlock(m, "f32", instructions);
  const pack = m.function(5, (f, x, stride, rows, columns, to) => {
    const bytes = f.let(i32.shl(columns, 2));
    f.for(0, rows, PANEL, (row) => {
      const from = rowPointers(f, PANEL, f.let(i32.add(x, i32.mul(row, stride))), stride, f.let(i32.sub(rows, row)));
      f.for(0, bytes, 4, (at) => {
        for (const [i, pointer] of from.entries()) f.do(i32.store(to, i32.load(i32.add(pointer, at)), 4 * i));
        f.bump(to, 4 * PANEL);
      });
    });
  });
  return {
    ...{ rows: blockRows("f32", instructions), begin: 0, element: 4 },
    pack: (...given) => pack(...given.slice(0, 5)),
    multiply: (...given) => block(...given, 0),
  };
}
