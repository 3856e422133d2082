// The linear map without workgroup memory, for few rows and for devices where staging buys nothing. A thread makes four
// rows by four columns of y, reading x and W where they lie, four numbers along K at a time. The sixteen sums are written
// out one by one: a compiler that does not unroll loops would keep an array of them in memory.

alias act = f32; // x as stored
alias result = f32; // y as stored

const F32 = 0u;
const F16 = 1u;
const WEIGHTS = F32; // how W is stored: see linear.wgsl

const THREADS_M = 4u;
const THREADS_N = 8u;
const GELU = false;
const ADD = false;

struct Shape {
  rows: u32, // of x and y
  depth: u32, // columns of x and of W, padded
  columns: u32, // of y, padded
  addend_rows: u32, // the addend repeats after so many rows
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4<act>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> addend: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<result>>;

// Four weights of one row of W, from the k4-th vec4 of that row.
fn weights(at: u32) -> vec4<f32> {
  if (WEIGHTS == F16) {
    let words = weight[at / 2u];
    let pair = select(words.xy, words.zw, at % 2u == 1u);
    return vec4(unpack2x16float(pair.x), unpack2x16float(pair.y));
  }
  return bitcast<vec4<f32>>(weight[at]);
}

// Some drivers return NaN for tanh of large arguments; beyond 15 it is 1 in f32.
fn gelu(v: vec4<f32>) -> vec4<f32> {
  let inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
  return 0.5 * v * (1.0 + tanh(clamp(inner, vec4(-15.0), vec4(15.0))));
}

fn finish(row: u32, column: u32, value: vec4<f32>) {
  if (row >= shape.rows) {
    return;
  }
  var out = value + bias[column];
  if (GELU) {
    out = gelu(out);
  }
  if (ADD) {
    out += addend[row % shape.addend_rows * (shape.columns / 4u) + column];
  }
  y[row * (shape.columns / 4u) + column] = vec4<result>(out);
}

fn total(v: vec4<f32>) -> f32 {
  return v.x + v.y + v.z + v.w;
}

@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  let row = thread.y * 4u;
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

  for (var k = 0u; k < depth4; k++) {
    let a0 = vec4<f32>(x[x0 + k]);
    let a1 = vec4<f32>(x[x1 + k]);
    let a2 = vec4<f32>(x[x2 + k]);
    let a3 = vec4<f32>(x[x3 + k]);
    let b0 = weights(w0 + k);
    let b1 = weights(w0 + depth4 + k);
    let b2 = weights(w0 + 2u * depth4 + k);
    let b3 = weights(w0 + 3u * depth4 + k);
    s00 = fma(a0, b0, s00);
    s01 = fma(a0, b1, s01);
    s02 = fma(a0, b2, s02);
    s03 = fma(a0, b3, s03);
    s10 = fma(a1, b0, s10);
    s11 = fma(a1, b1, s11);
    s12 = fma(a1, b2, s12);
    s13 = fma(a1, b3, s13);
    s20 = fma(a2, b0, s20);
    s21 = fma(a2, b1, s21);
    s22 = fma(a2, b2, s22);
    s23 = fma(a2, b3, s23);
    s30 = fma(a3, b0, s30);
    s31 = fma(a3, b1, s31);
    s32 = fma(a3, b2, s32);
    s33 = fma(a3, b3, s33);
  }

  finish(row, column, vec4(total(s00), total(s01), total(s02), total(s03)));
  finish(row + 1u, column, vec4(total(s10), total(s11), total(s12), total(s13)));
  finish(row + 2u, column, vec4(total(s20), total(s21), total(s22), total(s23)));
  finish(row + 3u, column, vec4(total(s30), total(s31), total(s32), total(s33)));
}
