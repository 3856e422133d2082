import type { Program, Slot } from "./program.ts";

/** Which buffer each value lies in (none for a weight), and how large the buffers are. */
export interface BufferPlan {
  readonly of: readonly (number | undefined)[];
  /** In bytes, the largest first. */
  readonly sizes: readonly number[];
}

/**
 * Gives every input and result a buffer that nothing else uses from its making to its last use. The largest values come
 * first, and each goes into the smallest buffer that is free all that time, so that large buffers never hold small values
 * while others are made for large ones.
 */
export function planBuffers({ values, operations }: Program, bytesOf: (value: Slot) => number): BufferPlan {
  const made = values.map(() => -1); // inputs are there before the first operation
  for (const [index, { y }] of operations.entries()) made[y] = index;
  const end = ({ id, last }: Slot) => Math.max(last, made[id]);
  const overlap = (a: Slot, b: Slot) => made[a.id] <= end(b) && made[b.id] <= end(a);
  const of: (number | undefined)[] = values.map(() => undefined);
  const sizes: number[] = [];
  const held: Slot[][] = [];
  const wanted = values.filter(({ id, input }) => input !== undefined || made[id] >= 0);
  for (const value of wanted.sort((a, b) => bytesOf(b) - bytesOf(a))) {
    let index = held.length - 1;
    while (index >= 0 && held[index].some((other) => overlap(value, other))) index--;
    if (index < 0) index = held.push([]) - 1;
    held[index].push(value);
    sizes[index] ??= bytesOf(value);
    of[value.id] = index;
  }
  return { of, sizes };
}
