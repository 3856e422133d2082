import {
  attentionStep,
  type Instructions,
  layerNormStep,
  linearSteps,
  rowsStep,
  type Step,
  temporaryBytes,
  type WeightForm,
} from "../../../kernels/wasm/index.ts";
import { attentionSizes, type LinearOperation, type Operation, type Program, type Weight } from "../program.ts";
import { padded, rowCount } from "../shape.ts";

/** A weight in memory: a packed matrix, or a small float32 tensor whose rows are padded. */
export interface StoredWeight {
  readonly address: number;
  /** Of a matrix. */
  readonly form?: WeightForm;
}

/** Where operations find what they work on. */
export interface Site {
  readonly instructions: Instructions;
  /** Whether attention multiplies integers, where its shapes allow it. */
  readonly integers: boolean;
  /** The address of a value. */
  readonly value: (id: number) => number;
  readonly weight: (weight: Weight) => StoredWeight;
  /** The address of the row numbers of a `rows` operation. */
  readonly indices: (rows: readonly number[]) => number;
  /** `temporaryOf` the program, at least. */
  readonly temporary: number;
}

/** Bytes that the operations of a program need beside their values, one after another. */
export function temporaryOf({ values, operations }: Program, weight: (weight: Weight) => StoredWeight): number {
  const linears = operations.filter((operation): operation is LinearOperation => operation.kind === "linear");
  const bytes = linears.map((operation) => {
    const { shape } = values[operation.x];
    return temporaryBytes(weight(operation.weight).form!, rowCount(shape), shape.at(-1)!);
  });
  return Math.max(0, ...bytes);
}

/** The kernel calls of one operation. */
export function stepsOf(program: Program, operation: Operation, site: Site): Step[] {
  const { values } = program;
  const stride = (id: number) => padded(values[id].shape.at(-1)!);
  const y = site.value(operation.y);
  const yStride = stride(operation.y);
  switch (operation.kind) {
    case "linear": {
      const { shape } = values[operation.x];
      const { address, form } = site.weight(operation.weight);
      const { add } = operation;
      return linearSteps(
        form!,
        {
          x: site.value(operation.x),
          xStride: stride(operation.x),
          rows: rowCount(shape),
          depth: shape.at(-1)!,
          out: operation.weight.shape[0],
          weight: address,
          bias: site.weight(operation.bias).address,
          ...{ y, yStride, gelu: operation.gelu, temporary: site.temporary },
          add:
            add === undefined
              ? undefined
              : { address: site.value(add), stride: stride(add), rows: rowCount(values[add].shape) },
        },
        site.instructions,
      );
    }
    case "layerNorm": {
      const { shape } = values[operation.x];
      const [weight, bias] = [site.weight(operation.weight).address, site.weight(operation.bias).address];
      const x = { x: site.value(operation.x), xStride: stride(operation.x) };
      const { eps } = operation;
      return [layerNormStep({ ...x, rows: rowCount(shape), width: shape.at(-1)!, weight, bias, eps, y, yStride })];
    }
    case "attention": {
      const { batch, queries, keys, head, shared } = attentionSizes(program, operation);
      const [q, k, v] = ([operation.q, operation.k, operation.v] as const).map((id, index) => ({
        address: site.value(id),
        stride: stride(id),
        offset: operation.offsets[index],
        single: index === 0 && shared,
      }));
      const lengths = operation.lengths === undefined ? undefined : site.value(operation.lengths);
      return [
        attentionStep({
          q,
          k,
          v,
          batch,
          queries,
          keys,
          heads: operation.heads,
          head,
          integers: site.integers,
          lengths,
          y,
          yStride,
        }),
      ];
    }
    case "rows": {
      const { x, rows } = operation;
      const width = values[x].shape.at(-1)!;
      const indices = site.indices(rows);
      return [rowsStep({ x: site.value(x), xStride: stride(x), indices, rows: rows.length, width, y, yStride })];
    }
  }
}
