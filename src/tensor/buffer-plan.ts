import { operandsOf, type Program, type Slot } from "./program.ts";

/** Which buffer each value lies in (none for a weight), and how large the buffers are. */
export interface BufferPlan {
  readonly of: readonly (number | undefined)[];
  /** In bytes, the largest first. */
  readonly sizes: readonly number[];
}

/**
 * Gives every input and result a buffer that nothing else uses from its making to its last use. Of the buffers that are free
 * the smallest that suffices is taken, else the largest grows.
 */
export function planBuffers({ values, operations }: Program, bytesOf: (value: Slot) => number): BufferPlan {
  const sizes: number[] = [];
  const free = new Set<number>();
  const of: (number | undefined)[] = values.map(() => undefined);
  const take = (value: Slot) => {
    const bytes = bytesOf(value);
    const fitting = [...free].filter((index) => sizes[index] >= bytes).sort((a, b) => sizes[a] - sizes[b]);
    const largest = [...free].sort((a, b) => sizes[b] - sizes[a]);
    const index = fitting[0] ?? largest[0] ?? sizes.length;
    sizes[index] = Math.max(sizes[index] ?? 0, bytes);
    free.delete(index);
    of[value.id] = index;
  };
  for (const value of values) if (value.input !== undefined) take(value);
  for (const [index, operation] of operations.entries()) {
    take(values[operation.y]);
    for (const id of new Set([...operandsOf(operation), operation.y])) {
      if (of[id] !== undefined && values[id].last <= index) free.add(of[id]);
    }
  }
  const order = sizes.map((_, index) => index).sort((a, b) => sizes[b] - sizes[a]);
  const place = new Map(order.map((index, position) => [index, position]));
  return {
    of: of.map((index) => (index === undefined ? undefined : place.get(index))),
    sizes: order.map((index) => sizes[index]),
  };
}
