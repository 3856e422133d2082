const GELU = false;
const ADD = false;

//#include parts/gelu.wgsl

// From four sums to y: the bias, GELU and the addend. `column` counts fours; outside of y nothing is written.
fn finish(row: u32, column: u32, sums: vec4f) {
  if (row < shape.rows && column < shape.columns / 4u) {
    var value = sums + bias[column];
    if (GELU) {
      value = gelu(value);
    }
    if (ADD) {
      value += addend[row % shape.addend_rows * (shape.columns / 4u) + column];
    }
    y[row * (shape.columns / 4u) + column] = vec4<result>(value);
  }
}
