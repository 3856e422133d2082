// The linear map without workgroup memory, for few rows and for devices where staging buys nothing. A thread makes
// four rows by four columns of y, reading x and W where they lie, four numbers along K at a time. The sixteen sums
// are written out one by one: a compiler that does not unroll loops would keep an array of them in memory.

alias act = f32; // x as stored
alias result = f32; // y as stored

const WEIGHTS = F32; // how W is stored

const THREADS_M = 4u;
const THREADS_N = 8u;

//#include parts/linear.wgsl
//#include parts/weights.wgsl
//#include parts/epilogue.wgsl
//#include parts/total.wgsl

@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(@builtin(global_invocation_id) thread: vec3u) {
  let row = (shape.first_group * THREADS_M + thread.y) * 4u;
  let column = thread.x;
  if (row >= shape.rows || column >= shape.columns / 4u) {
    return;
  }
  let depth4 = shape.depth / 4u;
  let last = shape.rows - 1u;
  let x0 = row * depth4;
  let x1 = min(row + 1u, last) * depth4;
  let x2 = min(row + 2u, last) * depth4;
  let x3 = min(row + 3u, last) * depth4;
  let w0 = column * 4u * depth4;
  var s00 = vec4(0.0);
  var s01 = vec4(0.0);
  var s02 = vec4(0.0);
  var s03 = vec4(0.0);
  var s10 = vec4(0.0);
  var s11 = vec4(0.0);
  var s12 = vec4(0.0);
  var s13 = vec4(0.0);
  var s20 = vec4(0.0);
  var s21 = vec4(0.0);
  var s22 = vec4(0.0);
  var s23 = vec4(0.0);
  var s30 = vec4(0.0);
  var s31 = vec4(0.0);
  var s32 = vec4(0.0);
  var s33 = vec4(0.0);

  for (var k = 0u; k < depth4; k += 2u) {
    let b0 = eight((w0 + k) / 2u);
    let b1 = eight((w0 + depth4 + k) / 2u);
    let b2 = eight((w0 + 2u * depth4 + k) / 2u);
    let b3 = eight((w0 + 3u * depth4 + k) / 2u);
    let low0 = vec4f(x[x0 + k]);
    let low1 = vec4f(x[x1 + k]);
    let low2 = vec4f(x[x2 + k]);
    let low3 = vec4f(x[x3 + k]);
    s00 = fma(low0, b0.low, s00);
    s01 = fma(low0, b1.low, s01);
    s02 = fma(low0, b2.low, s02);
    s03 = fma(low0, b3.low, s03);
    s10 = fma(low1, b0.low, s10);
    s11 = fma(low1, b1.low, s11);
    s12 = fma(low1, b2.low, s12);
    s13 = fma(low1, b3.low, s13);
    s20 = fma(low2, b0.low, s20);
    s21 = fma(low2, b1.low, s21);
    s22 = fma(low2, b2.low, s22);
    s23 = fma(low2, b3.low, s23);
    s30 = fma(low3, b0.low, s30);
    s31 = fma(low3, b1.low, s31);
    s32 = fma(low3, b2.low, s32);
    s33 = fma(low3, b3.low, s33);
    let high0 = vec4f(x[x0 + k + 1u]);
    let high1 = vec4f(x[x1 + k + 1u]);
    let high2 = vec4f(x[x2 + k + 1u]);
    let high3 = vec4f(x[x3 + k + 1u]);
    s00 = fma(high0, b0.high, s00);
    s01 = fma(high0, b1.high, s01);
    s02 = fma(high0, b2.high, s02);
    s03 = fma(high0, b3.high, s03);
    s10 = fma(high1, b0.high, s10);
    s11 = fma(high1, b1.high, s11);
    s12 = fma(high1, b2.high, s12);
    s13 = fma(high1, b3.high, s13);
    s20 = fma(high2, b0.high, s20);
    s21 = fma(high2, b1.high, s21);
    s22 = fma(high2, b2.high, s22);
    s23 = fma(high2, b3.high, s23);
    s30 = fma(high3, b0.high, s30);
    s31 = fma(high3, b1.high, s31);
    s32 = fma(high3, b2.high, s32);
    s33 = fma(high3, b3.high, s33);
  }

  finish(row, column, vec4(total(s00), total(s01), total(s02), total(s03)));
  finish(row + 1u, column, vec4(total(s10), total(s11), total(s12), total(s13)));
  finish(row + 2u, column, vec4(total(s20), total(s21), total(s22), total(s23)));
  finish(row + 3u, column, vec4(total(s30), total(s31), total(s32), total(s33)));
}
