/** A shape, outermost axis first. */
export type Shape = readonly number[];

/** The number of elements of a shape. */
export function size(shape: Shape): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** The number of rows of the last axis. */
export function rowCount(shape: Shape): number {
  return size(shape.slice(0, -1));
}

/** Weights that share a scale: consecutive along K. */
export const GROUP = 32;

/** Rows are padded to a multiple of so many elements: no kernel has an edge along K, and groups of scales are whole. */
const PADDING = 32;

/** A width, padded. */
export function padded(width: number): number {
  return Math.ceil(width / PADDING) * PADDING;
}

/** A shape as errors and tables show it: "[729, 1152]". */
export function show(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}
