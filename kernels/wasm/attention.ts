import { type Call, type Expr, f32, f32x4, i32, int, Module, min, select, v128 } from "./assembler.ts";
import { addBlock, blockRows, rowPointers } from "./block.ts";
import { total } from "./layer-norm.ts";
import { exp, type Instructions, maddOf } from "./math.ts";
import { addLength, asFloat, layout, share } from "./params.ts";
import { interleave } from "./transpose.ts";

/**
 * How attention is told what to do. Strides are bytes between tokens, `Item` those between items (0 where one serves
 * all); q, k, v and y point at the first column of the first head.
 */
export const ATTENTION = layout(
  "q",
  "qStride",
  "qItem",
  "queries",
  "k",
  "kStride",
  "kItem",
  "v",
  "vStride",
  "vItem",
  "keys",
  /** How many keys of each item are attended, whole f32 [batch]; 0 where all are. */
  "lengths",
  "heads",
  "head",
  /** 1 / sqrt(head), a float's bits. */
  "scale",
  "y",
  "yStride",
  "padded",
  /** A chunk takes so many queries of one head of one item; chunks run along the queries, then heads, then items. */
  "chunkQueries",
  "queryChunks",
);

/** Columns of a panel. */
const PANEL = 8;

/** Scores between the rows of a block, lest 1024 keys put them all where caches take each for the other. */
const APART = 16;

/** Bytes of scratch: the keys and values of one head in panels, a block of queries, and its scores. */
export function attentionScratch(keys: number, head: number): number {
  const wide = Math.ceil(keys / PANEL) * PANEL;
  const depth = Math.ceil(head / 4) * 4;
  const width = Math.ceil(head / PANEL) * PANEL;
  return 4 * (wide * depth + wide * width + 8 * (depth + wide + APART + PANEL + 1)) + 64;
}

const roundUp = (value: Expr<"i32">, to: number) => i32.and(i32.add(value, to - 1), -to);

/**
 * `softmax(q kᵀ / sqrt(head)) v`, one head at a time: its keys and values are packed once, then blocks of queries pass
 * them by the same kernel as a linear map's. Only a block's scores exist at a time.
 */
export function attention(instructions: Instructions): Module {
  const m = new Module();
  const blockHeight = blockRows(instructions.madd);
  const multiply = addBlock(m, instructions);
  const packKeys = addPackKeys(m);
  const packValues = addPackValues(m);
  const packQueries = addPackQueries(m);
  const softmax = addSoftmax(m, instructions);
  const finish = addFinish(m);
  m.function(3, (f, params, chunk, scratch) => {
    const p = ATTENTION.load(params);
    const head = f.let(p.head);
    const heads = f.let(p.heads);
    const yStride = f.let(p.yStride);
    const rest = f.let(i32.div_u(chunk, p.queryChunks));
    const column = f.let(i32.rem_u(rest, heads));
    const item = f.let(i32.div_u(rest, heads));
    const [top, bottom] = share(f, i32.rem_u(chunk, p.queryChunks), p.chunkQueries, p.queries);
    const keys = addLength(f, p.lengths, item, p.keys);
    const wide = f.let(roundUp(keys, PANEL));
    const depth = f.let(i32.shl(roundUp(head, 4), 2));
    const keyPanel = f.let(i32.mul(depth, PANEL));
    const valuePanel = f.let(i32.mul(wide, 4 * PANEL));
    const packedKeys = scratch;
    const packedValues = f.let(i32.add(packedKeys, i32.mul(wide, depth)));
    const q = f.let(i32.add(packedValues, i32.mul(valuePanel, i32.shr_u(roundUp(head, PANEL), 3))));
    const scores = f.let(i32.add(q, i32.mul(depth, blockHeight)));
    const scoreStride = f.let(i32.shl(i32.add(wide, APART), 2));
    const tile = f.let(i32.add(scores, i32.mul(scoreStride, blockHeight)));
    const inverses = f.let(i32.add(tile, 4 * PANEL * blockHeight));
    const at = (view: "q" | "k" | "v") =>
      i32.add(i32.add(p[view], i32.mul(item, p[`${view}Item`])), i32.shl(i32.mul(column, head), 2));

    f.do(packKeys(at("k"), p.kStride, keys, head, packedKeys));
    f.do(packValues(at("v"), p.vStride, keys, head, packedValues));
    f.for(top, bottom, blockHeight, (row) => {
      const have = f.let(min(i32.sub(bottom, row), int(blockHeight)));
      f.do(packQueries(i32.add(at("q"), i32.mul(row, p.qStride)), p.qStride, have, head, p.scale, q));
      f.for(0, i32.shr_u(wide, 3), 1, (panel) => {
        const panelKeys = i32.add(packedKeys, i32.mul(panel, keyPanel));
        f.do(multiply(q, depth, have, panelKeys, depth, i32.add(scores, i32.mul(panel, 4 * PANEL)), scoreStride));
      });
      f.for(0, have, 1, (r) => {
        f.do(softmax(i32.add(scores, i32.mul(r, scoreStride)), keys, i32.add(inverses, i32.shl(r, 2))));
      });
      const y = f.let(i32.add(p.y, i32.mul(i32.add(i32.mul(item, p.queries), row), yStride)));
      f.for(0, head, PANEL, (d) => {
        const panelValues = i32.add(packedValues, i32.mul(i32.shr_u(d, 3), valuePanel));
        f.do(multiply(scores, scoreStride, have, panelValues, i32.shl(wide, 2), tile, 4 * PANEL));
        const to = i32.add(y, i32.shl(i32.add(i32.mul(column, head), d), 2));
        f.do(finish(tile, inverses, have, min(i32.sub(head, d), int(PANEL)), to, yStride));
      });
      f.when(i32.eq(i32.add(column, 1), heads), () => {
        const end = f.let(i32.shl(p.padded, 2));
        f.for(0, have, 1, () => {
          f.for(i32.shl(i32.mul(heads, head), 2), end, 4, (zero) => f.do(i32.store(i32.add(y, zero), 0)));
          f.bump(y, yStride);
        });
      });
    });
  });
  return m;
}

/**
 * Adds f(k, stride, keys, head, to): keys in panels of eight, transposed; the last is repeated, features filled with
 * zeros.
 */
function addPackKeys(m: Module): Call {
  return m.function(5, (f, k, stride, keys, head, to) => {
    const whole = f.let(i32.and(head, -4));
    const end = f.let(roundUp(head, 4));
    f.for(0, keys, PANEL, (key) => {
      const row = f.let(i32.add(k, i32.mul(key, stride)));
      const from = rowPointers(f, PANEL, row, stride, f.let(i32.sub(keys, key)));
      f.for(0, whole, 4, () => {
        interleave(f, from, to);
      });
      f.for(whole, end, 1, (d) => {
        for (const [i, pointer] of from.entries()) {
          f.do(i32.store(to, 0, 4 * i));
          f.when(i32.lt_u(d, head), () => f.do(i32.store(to, i32.load(pointer), 4 * i)));
          f.bump(pointer, 4);
        }
        f.bump(to, 4 * PANEL);
      });
    });
  });
}

/** Adds f(v, stride, keys, head, to): values in panels of eight features, filled with zeros. */
function addPackValues(m: Module): Call {
  return m.function(5, (f, v, stride, keys, head, to) => {
    const padded = f.let(roundUp(keys, PANEL));
    const panelBytes = f.let(i32.mul(padded, 4 * PANEL));
    // Keys outside: their rows lie pages apart.
    f.for(0, padded, 1, (key) => {
      const row = f.let(to);
      f.for(0, head, PANEL, (d) => {
        const from = f.let(i32.add(v, i32.shl(d, 2)));
        const have = f.let(select(i32.sub(head, d), int(0), i32.lt_u(key, keys)));
        f.when(
          i32.ge_u(have, PANEL),
          () => {
            for (const half of [0, 16]) f.do(v128.store(row, v128.load(from, half), half));
          },
          () => {
            for (const half of [0, 16]) f.do(v128.store(row, f32x4.const(0), half));
            f.for(0, i32.shl(have, 2), 4, (at) => f.do(i32.store(i32.add(row, at), i32.load(i32.add(from, at)))));
          },
        );
        f.bump(row, panelBytes);
      });
      f.bump(v, stride);
      f.bump(to, 4 * PANEL);
    });
  });
}

/** Adds f(q, stride, have, head, scale, to): rows times the scale, filled with zeros to a multiple of four. */
function addPackQueries(m: Module): Call {
  return m.function(6, (f, q, stride, have, head, scale, to) => {
    const end = f.let(roundUp(head, 4));
    const factor = f.let(asFloat(scale));
    f.for(0, have, 1, () => {
      f.for(0, end, 1, (d) => {
        f.do(f32.store(to, f32.const(0)));
        f.when(i32.lt_u(d, head), () => {
          f.do(f32.store(to, f32.mul(f32.load(i32.add(q, i32.shl(d, 2))), factor)));
        });
        f.bump(to, 4);
      });
      f.bump(q, stride);
    });
  });
}

/** Adds f(row, keys, inverse): scores made e^(score - greatest), 0 beyond the last key, and 1 over their sum. */
function addSoftmax(m: Module, instructions: Instructions): Call {
  return m.function(3, (f, row, keys, inverse) => {
    const end = f.let(i32.add(row, i32.shl(roundUp(keys, PANEL), 2)));
    f.for(i32.add(row, i32.shl(keys, 2)), end, 4, (at) => f.do(f32.store(at, f32.const(-1e30))));
    const tops = [f.let(f32x4.const(-1e30)), f.let(f32x4.const(-1e30))];
    f.for(row, end, 32, (at) => {
      for (const [i, top] of tops.entries()) f.set(top, f32x4.pmax(top, v128.load(at, 16 * i)));
    });
    const top = f.let(f32x4.pmax(tops[0], tops[1]));
    const lanes = [0, 1, 2, 3].map((i): Expr<"f32"> => f32x4.extract(top, i));
    f.set(top, f32x4.splat(lanes.reduce((a, b) => f32.max(a, b))));
    const sum = f.let(f32x4.const(0));
    f.for(row, end, 16, (at) => {
      const power = f.let(exp(f, maddOf(instructions), f32x4.sub(v128.load(at), top)));
      f.do(v128.store(at, power));
      f.set(sum, f32x4.add(sum, power));
    });
    f.do(f32.store(inverse, f32.div(f32.const(1), total(sum))));
  });
}

/**
 * Adds f(tile, inverses, have, width, y, yStride): the columns of a block that there are, times 1 over the row's sum.
 */
function addFinish(m: Module): Call {
  return m.function(6, (f, tile, inverses, have, width, y, yStride) => {
    f.for(0, have, 1, (r) => {
      const inverse = f.let(f32.load(i32.add(inverses, i32.shl(r, 2))));
      f.when(
        i32.eq(width, PANEL),
        () => {
          for (const half of [0, 16]) {
            f.do(v128.store(y, f32x4.mul(v128.load(tile, half), f32x4.splat(inverse)), half));
          }
        },
        () => {
          f.for(0, i32.shl(width, 2), 4, (at) => {
            f.do(f32.store(i32.add(y, at), f32.mul(f32.load(i32.add(tile, at)), inverse)));
          });
        },
      );
      f.bump(tile, 4 * PANEL);
      f.bump(y, yStride);
    });
  });
}
