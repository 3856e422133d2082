import { transposed } from "./inputs.ts";
import type { Graph } from "./onnx.ts";
import { BLOCK, byBlock, byRow, type Quantised } from "./quantise.ts";

/** How a graph's matrices are stored and multiplied. */
export type Product = "float" | "int8" | "int4";

/** Rows of a torch weight [out, depth], made when the external file is written. */
export interface Matrix {
  readonly name: string;
  readonly out: number;
  readonly depth: number;
  rows(): Float32Array;
}

/** Makes x Wᵀ of a graph. */
export function products(g: Graph, product: Product): (x: string, matrix: Matrix) => string {
  if (product === "float") return (x, matrix) => floats(g, x, matrix);
  if (product === "int4") return (x, matrix) => nibbles(g, x, matrix);
  const rounded = new Map<string, string[]>();
  return (x, matrix) => {
    // One that several matrices are multiplied with is rounded once, as onnxruntime's quantiser does.
    const found = rounded.get(x) ?? g.several("DynamicQuantizeLinear", [x], 3);
    rounded.set(x, found);
    return bytes(g, found, matrix);
  };
}

/** MatMul, which takes the transposed matrix. */
function floats(g: Graph, x: string, { name, out, depth, rows }: Matrix): string {
  return g.node("MatMul", [x, g.weight(`${name}.T`, [depth, out], () => transposed(rows(), out, depth))]);
}

/**
 * What `quantize_dynamic` makes of a MatMul with `weight_type` QInt8 and `per_channel`: x as unsigned bytes with a scale and a
 * zero point, found when it runs; weights as signed bytes with a scale for each column.
 */
function bytes(g: Graph, [x, scale, zero]: readonly string[], { name, out, depth, rows }: Matrix): string {
  const made = together(() => byRow(rows(), depth, 127));
  const weight = g.raw(`${name}.T.int8`, "i8", [depth, out], () => swapped(made.codes(), out, depth));
  const scales = g.raw(`${name}.scales`, "f32", [out], () => asBytes(made.scales()));
  const sums = g.cast(g.node("MatMulInteger", [x, weight, zero]), "f32");
  return g.node("Mul", [sums, g.node("Mul", [scale, scales])]);
}

/** MatMulNBits of 4 bits, which may multiply integers of 8 bits where there is a kernel for it. */
function nibbles(g: Graph, x: string, { name, out, depth, rows }: Matrix): string {
  const blocks = Math.ceil(depth / BLOCK);
  const made = together(() => byBlock(rows(), depth));
  const weight = g.raw(`${name}.int4`, "u8", [out, blocks, BLOCK / 2], made.codes);
  const scales = g.raw(`${name}.scales`, "f32", [out * blocks], () => asBytes(made.scales()));
  const attributes = { K: depth, N: out, bits: 4, block_size: BLOCK, accuracy_level: 4 };
  return g.fused("MatMulNBits", [x, weight, scales], attributes)[0];
}

/** Codes and scales of one rounding, which are written one after the other. */
function together<C>(make: () => { readonly codes: C; readonly scales: Float32Array }) {
  let scales: Float32Array | undefined;
  const codes = () => {
    const made = make();
    scales = made.scales;
    return made.codes;
  };
  return { codes, scales: () => scales! };
}

/** [rows, columns] to [columns, rows]. */
function swapped(codes: Quantised["codes"], rows: number, columns: number): Uint8Array {
  const to = new Uint8Array(codes.length);
  for (let c = 0; c < columns; c++) for (let r = 0; r < rows; r++) to[c * rows + r] = codes[r * columns + c];
  return to;
}

function asBytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
