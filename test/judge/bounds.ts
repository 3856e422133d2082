/**
 * Bounds on the normalised mean squared error of one operation, against weights as they are stored. The reference's sums are float64
 * and rounded once, so the cpu's error is that of one rounding per operation (2^-24 squared, 3.6e-15), of four in a chain.
 * Float32 sums over K stay below 1e-10; operands of half precision (2^-11 at most a value, 1e-7 squared) below 1e-6.
 */
export const GATE = { cpu: 1e-13, f32: 1e-10, f16: 1e-6 } as const;

/**
 * Bounds on |out - gold| / |gold| of a tower's hidden states. The CPU rounds to float32 once per operation (6e-8) and a residual
 * stream of few layers adds those up; float32 sums on a device add the error of K terms. Plain float32 through a good BLAS is
 * at 4e-7 to 6e-7.
 */
export const BOUND = { cpu: 1e-6, f32: 1e-5 } as const;
