import { attentionSizes, type Operation, operandsOf, type Program, type Weight, type WeightDType } from "./program.ts";
import { padded, rowCount, type Shape, size } from "./shape.ts";

/** Bits of a stored weight, its share of the scales counted. */
export const BITS: Readonly<Record<WeightDType, number>> = { f32: 32, f16: 16, q8: 8.5, i8: 8.5, q4: 4.5 };

/** What one operation of a program is and takes, as data for a table. */
export interface Cost {
  readonly kind: Operation["kind"];
  /** The name of its weights, or what it does. */
  readonly name: string;
  readonly from: Shape;
  /** Of the weight matrix, where it has one. */
  readonly weight?: Shape;
  readonly to: Shape;
  /** Floating point operations, a multiply-add being two. */
  readonly flops: number;
  /** Bytes read and written at least once: weights as they are stored, activations as float32. */
  readonly bytes: number;
}

/** Every operation of a program, in order. */
export function costs(program: Program): Cost[] {
  const { values, operations } = program;
  return operations.map((operation) => {
    const from = values["x" in operation ? operation.x : operation.q].shape;
    const to = values[operation.y].shape;
    const activations = [...operandsOf(operation), operation.y].reduce(
      (sum, id) => sum + 4 * size(values[id].shape),
      0,
    );
    const own = "weight" in operation ? [operation.weight, operation.bias] : [];
    const bytes = activations + own.reduce((sum, weight) => sum + weightBytesOf(weight), 0);
    return { kind: operation.kind, ...named(operation), from, to, flops: flopsOf(program, operation), bytes };
  });
}

function named(operation: Operation): { name: string; weight?: Shape } {
  switch (operation.kind) {
    case "linear": {
      const after = `${operation.gelu ? " + GELU" : ""}${operation.add === undefined ? "" : " + add"}`;
      return { name: operation.weight.name.replace(/\.weight$/, "") + after, weight: operation.weight.shape };
    }
    case "layerNorm":
      return { name: operation.weight.name.replace(/\.weight$/, "") };
    case "attention":
      return { name: `${operation.heads} heads of ${operation.width / operation.heads}` };
    case "rows":
      return { name: operation.rows.length === 1 ? `row ${operation.rows[0]}` : `${operation.rows.length} rows` };
  }
}

function flopsOf(program: Program, operation: Operation): number {
  const count = size(program.values[operation.y].shape);
  switch (operation.kind) {
    case "linear":
      return 2 * count * operation.weight.shape[1];
    case "layerNorm":
      return 8 * count;
    case "attention": {
      const { batch, queries, keys } = attentionSizes(program, operation);
      return 4 * batch * queries * keys * operation.width;
    }
    case "rows":
      return 0;
  }
}

function weightBytesOf({ shape, dtype }: Weight): number {
  return shape.length === 2 ? (rowCount(shape) * padded(shape[1]) * BITS[dtype]) / 8 : 4 * size(shape);
}
