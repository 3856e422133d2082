import { mismatch } from "../support/error.ts";
import { rowCount, type Shape, show } from "./shape.ts";

/**
 * How a weight matrix is stored on the device: floats, or codes of 8 or 4 bits with a scale for each 32. i8 is q8 whose
 * activations are rounded too, to 7 or 8 bits with a scale for each 32; wasm alone has it. Norms, biases, positions and the MAP
 * probe are always f32.
 */
export type WeightDType = "f32" | "f16" | "q8" | "i8" | "q4";

/** What lies in memory or in a file for a WeightDType. */
export type StoredDType = Exclude<WeightDType, "i8">;

/** The codes of i8 are those of q8. */
export function storedAs(dtype: WeightDType): StoredDType {
  return dtype === "i8" ? "q8" : dtype;
}

/** A weight by the name under which a backend holds it: a matrix [out, in], or a small tensor of any shape, always f32. */
export interface Weight {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: WeightDType;
}

/** The affine map `x Wᵀ + b`: weight [out, in], bias [out]. */
export interface Linear {
  readonly weight: Weight;
  readonly bias: Weight;
}

/** Layer normalisation over the last axis: weight [D], bias [D], eps inside the square root. */
export interface Norm {
  readonly weight: Weight;
  readonly bias: Weight;
  readonly eps: number;
}

/** What a program computes with: an input, a weight read as activations, or an operation's result. */
export interface Value {
  /** Its place among the program's values. */
  readonly id: number;
  readonly shape: Shape;
  /** Kept in float32 whatever the precision of activations. */
  readonly exact: boolean;
}

/** What an operation may read: a value, or a small weight (positions, the MAP probe). */
export type Operand = Value | Weight;

/** What `linear` does to its result before it is stored, in this order. */
export interface Epilogue {
  /** GELU in its tanh form. */
  readonly gelu?: boolean;
  /** Added last: of the result's shape, or without its batch axis, which is then added to every item. Kept in float32. */
  readonly add?: Operand;
  /** The result is kept in float32: the residual stream and what leaves a tower. */
  readonly exact?: boolean;
}

/** The columns [offset, offset + width) of the last axis of a value: q, k or v inside one fused projection. */
export interface View {
  readonly value: Value;
  readonly offset: number;
  readonly width: number;
}

/** A value in a finished program. */
export interface Slot extends Value {
  /** The name of the input that it is. */
  readonly input?: string;
  /** The weight that it is. */
  readonly weight?: Weight;
  /** The last operation that reads it, by its index; beyond the last one where it is an output. */
  readonly last: number;
}

/** `y = x Wᵀ + bias`, GELU, `+ add`: x [..., in] to y [..., out]. */
export interface LinearOperation extends Linear {
  readonly kind: "linear";
  readonly x: number;
  readonly gelu: boolean;
  readonly add?: number;
  readonly y: number;
}

/** `y = (x - mean) / sqrt(variance + eps) * weight + bias` over the last axis. */
export interface LayerNormOperation extends Norm {
  readonly kind: "layerNorm";
  readonly x: number;
  readonly y: number;
}

/**
 * Softmax attention, all heads: `y = softmax(q kᵀ / sqrt(width / heads)) v`. q is [B or 1, Q, …], k and v [B, K, …] of
 * which `width` columns from their offsets are read; y [B, Q, width]. A q of batch 1 serves every item. `lengths` [B],
 * whole numbers from 1 to K kept in float32: so many keys of an item are attended, and those beyond are as if they were
 * not there.
 */
export interface AttentionOperation {
  readonly kind: "attention";
  readonly q: number;
  readonly k: number;
  readonly v: number;
  /** The first column of q, k and v. */
  readonly offsets: readonly [q: number, k: number, v: number];
  readonly width: number;
  readonly heads: number;
  readonly lengths?: number;
  readonly y: number;
}

/** Picks rows of the last axis, counted over all outer axes: x [..., D] to y [rows.length, D]. */
export interface RowsOperation {
  readonly kind: "rows";
  readonly x: number;
  readonly rows: readonly number[];
  readonly y: number;
}

export type Operation = LinearOperation | LayerNormOperation | AttentionOperation | RowsOperation;

/**
 * A computation as data: operations in the order in which they run, values by their places. It holds no memory and no device:
 * a backend that has its weights runs it with new inputs as often as one likes.
 */
export interface Program {
  readonly values: readonly Slot[];
  readonly operations: readonly Operation[];
  /** What comes out, in order. */
  readonly outputs: readonly { readonly name: string; readonly value: number }[];
}

/** Records a program. Every method checks shapes at once and throws a SiglipError where they do not fit. */
export class Recorder {
  private readonly values: (Value & { input?: string; weight?: Weight })[] = [];
  private readonly operations: Operation[] = [];
  private readonly outputs: { name: string; value: number }[] = [];
  private readonly weights = new Map<string, Value>();
  private readonly taps: boolean;

  /** With `taps`, named intermediates are outputs too. */
  constructor({ taps = false }: { readonly taps?: boolean } = {}) {
    this.taps = taps;
  }

  /** A float32 input, row-major, that every run is given by this name. */
  input(name: string, shape: Shape): Value {
    return this.add({ shape, exact: true, input: name });
  }

  /** `x Wᵀ + b` on the last axis: [..., in] to [..., out]. */
  linear(x: Operand, { weight, bias }: Linear, { gelu = false, add, exact = false }: Epilogue = {}): Value {
    const [out, depth] = weight.shape;
    if (weight.shape.length !== 2 || x.shape.at(-1) !== depth) fail("linear", `x of [..., ${depth}]`, show(x.shape));
    if (show(bias.shape) !== show([out])) fail("linear", `a bias of [${out}]`, show(bias.shape));
    const shape = [...x.shape.slice(0, -1), out];
    if (add && show(add.shape) !== show(shape) && show(add.shape) !== show(shape.slice(1))) {
      fail("linear", `an addend of ${show(shape)} or ${show(shape.slice(1))}`, show(add.shape));
    }
    const [from, addend] = [this.operand(x), add && this.operand(add)];
    if (addend?.exact === false) fail("linear", "an addend kept in float32", "one that is not; make it with `exact`");
    const y = this.add({ shape, exact });
    this.operations.push({ kind: "linear", x: from.id, weight, bias, gelu, add: addend?.id, y: y.id });
    return y;
  }

  /** Layer normalisation over the last axis, in the precision of activations. */
  layerNorm(x: Operand, { weight, bias, eps }: Norm): Value {
    const want = show([x.shape.at(-1)!]);
    if (show(weight.shape) !== want) fail("layerNorm", `a weight of ${want}`, show(weight.shape));
    if (show(bias.shape) !== want) fail("layerNorm", `a bias of ${want}`, show(bias.shape));
    if (!(eps > 0)) fail("layerNorm", "an eps above 0", String(eps));
    const from = this.operand(x);
    const y = this.add({ shape: x.shape, exact: false });
    this.operations.push({ kind: "layerNorm", x: from.id, weight, bias, eps, y: y.id });
    return y;
  }

  /** Softmax attention of all heads; see AttentionOperation. */
  attention(q: View, k: View, v: View, heads: number, lengths?: Value): Value {
    for (const { value, offset, width } of [q, k, v]) {
      if (value.shape.length !== 3) fail("attention", "values of [batch, tokens, width]", show(value.shape));
      if (!(offset >= 0 && offset + width <= value.shape[2])) {
        fail("attention", `columns within ${show(value.shape)}`, `${offset} to ${offset + width}`);
      }
    }
    const { width } = q;
    const [batch, keys] = k.value.shape;
    const [queryBatch, queries] = q.value.shape;
    const [valueBatch, valueTokens] = v.value.shape;
    if (valueBatch !== batch || valueTokens !== keys || (queryBatch !== batch && queryBatch !== 1)) {
      fail("attention", "q, k and v of one batch", [q, k, v].map((view) => show(view.value.shape)).join(", "));
    }
    if (keys < 1 || queries < 1) fail("attention", "at least one query and one key", `${queries} and ${keys}`);
    if (k.width !== width || v.width !== width) {
      fail("attention", "views of one width", `${width}, ${k.width}, ${v.width}`);
    }
    if (!Number.isInteger(heads) || heads < 1 || width % heads !== 0) {
      fail("attention", `heads that divide ${width}`, String(heads));
    }
    if (k.value.exact !== q.value.exact || v.value.exact !== q.value.exact) {
      fail("attention", "q, k and v of one precision", "several; make them by the same operation");
    }
    if (lengths && show(lengths.shape) !== show([batch])) {
      fail("attention", `lengths of [${batch}]`, show(lengths.shape));
    }
    const y = this.add({ shape: [batch, queries, width], exact: false });
    const offsets = [q.offset, k.offset, v.offset] as const;
    const ids = { q: q.value.id, k: k.value.id, v: v.value.id, lengths: lengths?.id };
    this.operations.push({ kind: "attention", ...ids, offsets, width, heads, y: y.id });
    return y;
  }

  /** Picks rows of the last axis, counted over all outer axes: [..., D] to [rows.length, D]. */
  rows(x: Value, rows: readonly number[]): Value {
    const count = rowCount(x.shape);
    const bad = rows.find((row) => !(Number.isInteger(row) && row >= 0 && row < count));
    if (bad !== undefined) fail("rows", `rows below ${count}`, String(bad));
    const y = this.add({ shape: [rows.length, x.shape.at(-1)!], exact: x.exact });
    this.operations.push({ kind: "rows", x: x.id, rows, y: y.id });
    return y;
  }

  /** Names an intermediate; it comes out where taps are wanted. */
  tap(name: string, value: Value): void {
    if (this.taps) this.output(name, value);
  }

  /** Makes a value an output of the program. */
  output(name: string, value: Value): void {
    this.outputs.push({ name, value: value.id });
  }

  /** The program recorded so far. */
  finish(): Program {
    const last = this.values.map(() => -1);
    for (const [index, operation] of this.operations.entries())
      for (const id of operandsOf(operation)) last[id] = index;
    for (const { value } of this.outputs) last[value] = this.operations.length;
    const values = this.values.map((value) => ({ ...value, last: last[value.id] }));
    return { values, operations: [...this.operations], outputs: [...this.outputs] };
  }

  private operand(operand: Operand): Value {
    if ("id" in operand) return operand;
    let value = this.weights.get(operand.name);
    if (!value) {
      value = this.add({ shape: operand.shape, exact: true, weight: operand });
      this.weights.set(operand.name, value);
    }
    return value;
  }

  private add(value: Omit<Value, "id"> & { input?: string; weight?: Weight }): Value {
    const added = { id: this.values.length, ...value };
    this.values.push(added);
    return added;
  }
}

/** The values that an operation reads. */
export function operandsOf(operation: Operation): readonly number[] {
  switch (operation.kind) {
    case "linear":
      return some(operation.x, operation.add);
    case "attention":
      return some(operation.q, operation.k, operation.v, operation.lengths);
    default:
      return [operation.x];
  }
}

function some(...ids: (number | undefined)[]): number[] {
  return ids.filter((id) => id !== undefined);
}

/** The sizes of an attention operation. */
export function attentionSizes(program: Program, { q, k, width, heads }: AttentionOperation) {
  const [queryBatch, queries] = program.values[q].shape;
  const [batch, keys] = program.values[k].shape;
  return { batch, queries, keys, head: width / heads, shared: queryBatch === 1 && batch > 1 };
}

function fail(operation: string, wanted: string, found: string): never {
  throw mismatch("bad-input", operation, wanted, found, "check the shapes of the call");
}
