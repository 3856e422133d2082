import { Module } from "./assembler.ts";
import { floatParts } from "./attention-floats.ts";
import { integerParts } from "./attention-integers.ts";
import { addSoftmax, addTranspose, roundUp } from "./attention-parts.ts";
import { f32, i32, min } from "./instructions.ts";
import { PANEL } from "./linear.ts";
import type { Instructions } from "./math.ts";
import { addLength, layout, share } from "./params.ts";

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

/** Bytes between the rows of a block's weights, lest 1024 keys put them all where caches take each for the other. */
const APART = 64;

/** Bytes of scratch: keys and values of one head in panels, values transposed, a block of queries, scores, weights. */
export function attentionScratch(keys: number, head: number): number {
  const wide = Math.ceil(keys / PANEL) * PANEL;
  const width = Math.ceil(head / PANEL) * PANEL;
  return 4 * (3 * wide * width + 8 * (2 * wide + width + APART));
}

/**
 * `softmax(q kᵀ / sqrt(head)) v`, one head at a time: its keys and values are packed once, then blocks of queries pass
 * them by the same kernel as a linear map's. Only a block's scores exist at a time, in tiles of eight keys.
 */
export function attention(instructions: Instructions, integers: boolean): Module {
  const m = new Module();
  const { rows, begin, element, ...parts } = (integers ? integerParts : floatParts)(m, instructions);
  const softmax = addSoftmax(m, instructions, rows, integers);
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
    const depth = f.let(i32.mul(head, element));
    const wideBytes = f.let(i32.mul(wide, element));
    const [keyPanel, valuePanel] = [depth, wideBytes].map((row) => f.let(i32.add(i32.mul(row, 2 * element), begin)));
    const keyPanels = f.let(i32.shr_u(wide, 3));
    const values = f.let(i32.add(scratch, i32.mul(keyPanels, keyPanel)));
    const q = f.let(i32.add(values, i32.mul(valuePanel, i32.shr_u(roundUp(head, PANEL), 3))));
    const qStride = f.let(parts.packQueries ? i32.add(depth, 16) : p.qStride);
    const scores = f.let(i32.add(q, i32.mul(i32.add(depth, 16), rows)));
    const weights = f.let(i32.add(scores, i32.mul(keyPanels, 4 * PANEL * rows)));
    const weightStride = f.let(i32.add(wideBytes, APART));
    const tile = f.let(i32.add(weights, i32.mul(weightStride, rows)));
    const inverses = f.let(i32.add(tile, 4 * PANEL * rows));
    const at = (view: "q" | "k" | "v") =>
      i32.add(i32.add(p[view], i32.mul(item, p[`${view}Item`])), i32.shl(i32.mul(column, head), 2));

    // As integers queries lie above what they mean, weights do not.
    f.do(parts.pack(at("k"), p.kStride, keys, head, scratch, -64));
    addTranspose(f, at("v"), p.vStride, keys, head, q);
    f.do(parts.pack(q, i32.shl(wide, 2), head, wide, values, 0));
    f.for(top, bottom, rows, (row) => {
      const have = f.let(min(i32.sub(bottom, row), rows));
      const x = f.let(i32.add(at("q"), i32.mul(row, p.qStride)));
      if (parts.packQueries) {
        f.do(parts.packQueries(x, p.qStride, have, head, p.scale, q));
        f.set(x, q);
      }
      f.for(0, keyPanels, 1, (panel) => {
        const to = i32.add(scores, i32.mul(panel, 4 * PANEL * rows));
        f.do(parts.multiply(x, qStride, have, i32.add(scratch, i32.mul(panel, keyPanel)), depth, to));
      });
      f.for(0, have, 1, (r) => {
        const to = i32.add(weights, i32.mul(r, weightStride));
        const scale = parts.packQueries ? i32.load(i32.add(i32.add(q, i32.mul(r, qStride)), depth)) : p.scale;
        f.do(softmax(i32.add(scores, i32.shl(r, 5)), keys, to, i32.add(inverses, i32.shl(r, 2)), scale));
      });
      const y = f.let(i32.add(p.y, i32.mul(i32.add(i32.mul(item, p.queries), row), yStride)));
      f.for(0, head, PANEL, (d) => {
        const panel = i32.add(values, i32.mul(i32.shr_u(d, 3), valuePanel));
        f.do(parts.multiply(weights, weightStride, have, panel, wideBytes, tile));
        // Other heads' columns are another's to write.
        const end = f.let(i32.shl(min(i32.sub(head, d), PANEL), 2));
        const to = f.let(i32.add(y, i32.shl(i32.add(i32.mul(column, head), d), 2)));
        f.for(0, have, 1, (r) => {
          const inverse = f.let(f32.load(i32.add(inverses, i32.shl(r, 2))));
          const from = f.let(i32.add(tile, i32.shl(r, 5)));
          f.for(0, end, 4, (at) => {
            f.do(f32.store(i32.add(to, at), f32.mul(f32.load(i32.add(from, at)), inverse)));
          });
          f.bump(to, yStride);
        });
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
