import { addRowScale, bytesOf, laneSum, rounded, storePlanes, TOP } from "./activations.ts";
import type { Call, Module } from "./assembler.ts";
import type { AttentionParts } from "./attention-parts.ts";
import { addBlock, blockRows } from "./block.ts";
import { SCALES } from "./expand.ts";
import { type Expr, f32, f32x4, i32, i32x4, v128 } from "./instructions.ts";
import { PANEL } from "./linear.ts";
import type { Instructions } from "./math.ts";
import { asFloat } from "./params.ts";

/**
 * Queries and weights as integers of 14 bits in two planes of 7, keys and values as bytes: with a scale a query and a
 * key, and one a feature of all values.
 */
export function integerParts(m: Module, instructions: Instructions): AttentionParts {
  const block = addBlock(m, "planes", instructions);
  return {
    ...{ rows: blockRows("planes", instructions), begin: SCALES, element: 2 },
    pack: addPack(m),
    packQueries: addPackQueries(m),
    multiply: (x, stride, have, panel, bytes, to) =>
      block(x, stride, have, i32.add(panel as Expr<"i32">, SCALES), bytes, to, panel),
  };
}

/** Adds f(x, stride, rows, columns, to, above): panels of eight rows, words of four columns; the last row is repeated. */
function addPack(m: Module): Call {
  return m.function(6, (f, x, stride, rows, columns, to, above) => {
    const bytes = f.let(i32.shl(columns, 2));
    const done = f.local("i32");
    f.for(0, rows, PANEL, () => {
      f.repeat(
        () => {
          const inverse = addRowScale(f, x, bytes, to, 127);
          const sum = f.let(i32x4.const(0));
          const word = f.let(to);
          f.for(0, bytes, 16, (at) => {
            const codes = f.let(rounded(f32x4.mul(v128.load(i32.add(x, at)), inverse)));
            f.set(sum, i32x4.add(sum, codes));
            f.do(v128.store32_lane0(word, bytesOf([codes, codes, codes, codes]), SCALES));
            f.bump(word, 4 * PANEL);
          });
          f.do(i32.store(to, i32.mul(laneSum(sum), above), SCALES / 2));
          f.bump(done, 1);
          f.bump(x, i32.mul(stride, i32.lt_u(done, rows)));
          f.bump(to, 4);
        },
        () => i32.and(done, PANEL - 1),
      );
      f.bump(to, i32.add(i32.shl(columns, 3), SCALES - 4 * PANEL));
    });
  });
}

/** Adds f(q, stride, have, head, scale, to): rows in two planes, then their scale times that of all. */
function addPackQueries(m: Module): Call {
  return m.function(6, (f, q, stride, have, head, scale, to) => {
    const bytes = f.let(i32.shl(head, 2));
    f.for(0, have, 1, () => {
      const last = f.let(i32.add(to, i32.shl(head, 1)));
      const inverse = addRowScale(f, q, bytes, last);
      f.do(f32.store(last, f32.mul(f32.load(last), asFloat(scale))));
      f.for(0, bytes, 32, (at) => {
        const eight = [0, 16].map((half) => f32x4.mul(v128.load(i32.add(q, at), half), inverse));
        storePlanes(f, eight, TOP + 1, to, head);
        f.bump(to, 8);
      });
      f.set(to, i32.add(last, 16));
      f.bump(q, stride);
    });
  });
}
