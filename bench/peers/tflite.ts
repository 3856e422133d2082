// A TensorFlow Lite model of one linear layer, as its schema (version 3) lays it out.
import type { Layer } from "./inputs.ts";
import { byRow, nibbles, type Quantised } from "./quantise.ts";

type Offset = number;

/** What we use of flatbuffers' Builder. */
interface Builder {
  startObject(fields: number): void;
  endObject(): Offset;
  addFieldInt8(field: number, value: number, standard: number): void;
  addFieldInt32(field: number, value: number, standard: number): void;
  addFieldOffset(field: number, value: Offset, standard: Offset): void;
  startVector(elementBytes: number, count: number, alignment: number): void;
  endVector(): Offset;
  addInt32(value: number): void;
  addInt64(value: bigint): void;
  addFloat32(value: number): void;
  addOffset(value: Offset): void;
  createByteVector(bytes: Uint8Array): Offset;
  createString(text: string): Offset;
  finish(root: Offset, identifier: string): void;
  asUint8Array(): Uint8Array;
}

/** How the layer's weights are stored. The integers have a scale for each row, and what they are multiplied with is rounded by row. */
export type TfliteDType = "f32" | "int8" | "int4";

/** Values of the schema's enums. */
const TYPE = { f32: 0, int8: 9, int4: 17 } as const;
const FULLY_CONNECTED = { operator: 9, options: 8 };
/** Of the operator: the first that takes weights of bytes beside floats, and has a scale for each row. */
const VERSION = { f32: 1, int8: 9, int4: 9 } as const;

/** The file's bytes: y [rows, out] = x [rows, depth] Wᵀ + b. */
export async function linearTflite(layer: Layer, dtype: TfliteDType): Promise<Uint8Array> {
  const { rows, depth, out, weight, bias } = layer;
  const { Builder } = (await import("flatbuffers" as string)) as { Builder: new (bytes: number) => Builder };
  const b = new Builder(weight.byteLength + 2 ** 20);
  const quantised = dtype === "f32" ? undefined : byRow(weight, depth, dtype === "int8" ? 127 : 7);
  const codes = quantised && (dtype === "int4" ? nibbles(quantised.codes) : quantised.codes);
  // The first buffer is the empty one of what has no data.
  const buffers = [undefined, codes ?? weight, bias].map((data) => {
    const bytes = data && b.createByteVector(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return table(b, 1, () => bytes && b.addFieldOffset(0, bytes, 0));
  });
  const tensor = (name: string, shape: number[], buffer = 0, type = 0, scales?: Offset) => {
    const [label, dimensions] = [b.createString(name), integers(b, shape)];
    return table(b, 5, () => {
      b.addFieldOffset(0, dimensions, 0);
      b.addFieldInt8(1, type, 0);
      b.addFieldInt32(2, buffer, 0);
      b.addFieldOffset(3, label, 0);
      if (scales) b.addFieldOffset(4, scales, 0);
    });
  };
  const tensors = offsets(b, [
    tensor("x", [rows, depth]),
    tensor("weight", [out, depth], 1, TYPE[dtype], quantised && parameters(b, quantised)),
    tensor("bias", [out], 2),
    tensor("y", [rows, out]),
  ]);
  const [inputs, outputs] = [integers(b, [0, 1, 2]), integers(b, [3])];
  const [first, last] = [integers(b, [0]), integers(b, [3])];
  const options = table(b, 4, () => b.addFieldInt8(3, quantised ? 1 : 0, 0));
  const operator = table(b, 5, () => {
    b.addFieldOffset(1, inputs, 0);
    b.addFieldOffset(2, outputs, 0);
    b.addFieldInt8(3, FULLY_CONNECTED.options, 0);
    b.addFieldOffset(4, options, 0);
  });
  const operators = offsets(b, [operator]);
  const graph = table(b, 4, () => {
    for (const [field, value] of [tensors, first, last, operators].entries()) b.addFieldOffset(field, value, 0);
  });
  const code = table(b, 4, () => {
    b.addFieldInt8(0, FULLY_CONNECTED.operator, 0);
    b.addFieldInt32(2, VERSION[dtype], 1);
    b.addFieldInt32(3, FULLY_CONNECTED.operator, 0);
  });
  const [codesOf, graphs, data] = [offsets(b, [code]), offsets(b, [graph]), offsets(b, buffers)];
  const model = table(b, 5, () => {
    b.addFieldInt32(0, 3, 0);
    b.addFieldOffset(1, codesOf, 0);
    b.addFieldOffset(2, graphs, 0);
    b.addFieldOffset(4, data, 0);
  });
  b.finish(model, "TFL3");
  return b.asUint8Array();
}

/** A scale for each row of weights; their zero points are 0. */
function parameters(b: Builder, { scales }: Quantised): Offset {
  b.startVector(4, scales.length, 4);
  for (const scale of scales.toReversed()) b.addFloat32(scale);
  const values = b.endVector();
  b.startVector(8, scales.length, 8);
  for (let i = 0; i < scales.length; i++) b.addInt64(0n);
  const zeros = b.endVector();
  return table(b, 4, () => {
    b.addFieldOffset(2, values, 0);
    b.addFieldOffset(3, zeros, 0);
  });
}

function table(b: Builder, fields: number, fill: () => void): Offset {
  b.startObject(fields);
  fill();
  return b.endObject();
}

function integers(b: Builder, values: readonly number[]): Offset {
  b.startVector(4, values.length, 4);
  for (const value of values.toReversed()) b.addInt32(value);
  return b.endVector();
}

function offsets(b: Builder, values: readonly Offset[]): Offset {
  b.startVector(4, values.length, 4);
  for (const value of values.toReversed()) b.addOffset(value);
  return b.endVector();
}
