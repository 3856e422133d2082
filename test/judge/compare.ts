/** How far an array lies from its reference. */
export interface Difference {
  /** `sum((a - e)²) / sum(e²)`, summed in float64. */
  readonly nmse: number;
  /** `|a - e| / |e|`, the square root of it. */
  readonly relativeError: number;
}

/**
 * Throws unless `actual` equals `expected` to within `gate`, a bound on the normalised mean squared error, or `relative`, a
 * bound on its root. The message names the worst element: its index in `shape`, and both values. A value of `actual` or
 * `expected` that is not finite is always an error.
 */
export function compare(
  actual: Float32Array,
  expected: Float32Array | Float64Array,
  { shape, label, ...bound }: { shape: readonly number[]; label: string } & ({ gate: number } | { relative: number }),
): Difference {
  const size = shape.reduce((product, extent) => product * extent, 1);
  if (actual.length !== size || expected.length !== size) {
    throw new Error(
      `${label}: [${shape}] holds ${size} values, but ${actual.length} came and ${expected.length} were expected.`,
    );
  }
  let square = 0;
  let reference = 0;
  let notFinite = 0;
  let worst = 0;
  let worstError = -1;
  for (let i = 0; i < size; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    if (!Number.isFinite(error)) notFinite++;
    // The first value that is not finite stays the worst: infinity is never exceeded.
    const rank = Number.isFinite(error) ? error : Number.POSITIVE_INFINITY;
    if (rank > worstError) [worst, worstError] = [i, rank];
    square += error * error;
    reference += expected[i] * expected[i];
  }
  const nmse = square === 0 ? 0 : square / reference;
  const relativeError = Math.sqrt(nmse);
  const [name, found, limit] =
    "gate" in bound ? ["nmse", nmse, bound.gate] : ["relative error", relativeError, bound.relative];
  // Negated, so that NaN fails.
  if (notFinite > 0 || !(found <= limit)) {
    throw new Error(
      `${label} [${shape}]: ${name} ${found.toExponential(3)}, at most ${limit} allowed; ${notFinite} of ${size} not finite; ` +
        `worst at [${unravel(worst, shape)}]: ${actual[worst]} where ${expected[worst]} was expected.`,
    );
  }
  return { nmse, relativeError };
}

/** A flat row-major index as one index per axis. */
function unravel(flat: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  for (const extent of shape.toReversed()) {
    index.unshift(flat % extent);
    flat = Math.floor(flat / extent);
  }
  return index;
}
