/** The dot product of a row and a query, in float64. */
export function product(rows: Float32Array, base: number, query: Float32Array): number {
  let sum = 0;
  for (let d = 0; d < query.length; d++) sum += rows[base + d] * query[d];
  return sum;
}
