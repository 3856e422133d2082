/**
 * Bounds on the normalised mean squared error of one operation, against weights as they are stored. The reference's sums are float64
 * and rounded once, so the cpu's error is that of one rounding per operation (2^-24 squared, 3.6e-15), of four in a chain.
 * Float32 sums over K stay below 1e-10; operands of half precision (2^-11 at most a value, 1e-7 squared) below 1e-6.
 */
export const GATE = { cpu: 1e-13, f32: 1e-10, f16: 1e-6 } as const;

/**
 * The same where wasm multiplies integers. A value rounded to n levels of the largest of its row or group errs by largest / n at
 * most, evenly, and the largest is at most some 4 times the root mean square: (4 / n)² / 12 of the square. With 14 bits, 8191 levels,
 * 2e-8, twice where weights are rounded so too; with 7 bits, 63 levels, 3.4e-4.
 */
export const WASM_GATE = { f32: GATE.f32, f16: 1e-7, q8: 1e-7, i8: 5e-4, q4: 5e-4 } as const;

/**
 * Bounds on |out - gold| / |gold| of a tower's hidden states. The CPU rounds to float32 once per operation (6e-8) and a residual
 * stream of few layers adds those up; float32 sums on a device add the error of K terms. Plain float32 through a good BLAS is
 * at 4e-7 to 6e-7.
 */
export const BOUND = { cpu: 1e-6, f32: 1e-5 } as const;
