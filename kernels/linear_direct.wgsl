// The linear map without workgroup memory, for few rows and for devices where staging buys nothing. A thread makes
// four rows by four columns of y, reading x and W where they lie, four numbers along K at a time. The sixteen sums
// are written out one by one: a compiler that does not unroll loops would keep an array of them in memory.

alias act = f32; // x as stored
alias result = f32; // y as stored

const F32 = 0u;
const F16 = 1u; // in pairs: core WGSL unpacks them, shader-f16 is not needed
const Q8 = 2u; // signed bytes
const Q4 = 3u; // nibbles, 8 more than the weight
const WEIGHTS = F32; // how W is stored

const THREADS_M = 4u;
const THREADS_N = 8u;
const GELU = false;
const ADD = false;

struct Shape {
  rows: u32, // of x and y
  depth: u32, // columns of x and of W, padded
  columns: u32, // of y, padded
  addend_rows: u32, // the addend repeats after so many rows
  first_group: u32, // of this dispatch along y: long work is cut by rows
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4<act>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> addend: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<result>>;

// Weights are read eight at a time, 16 bytes or less; `at` counts eights from the beginning of W. What is loaded need
// not have arrived before it is widened, to f32.
struct Stored {
  words: vec4<u32>,
  more: vec4<u32>, // of f32
  scales: u32,
}

struct Eight {
  low: vec4<f32>,
  high: vec4<f32>,
}

fn load(at: u32) -> Stored {
  if (WEIGHTS == F16) {
    return Stored(weight[at], vec4(0u), 0u);
  }
  if (WEIGHTS == Q8) {
    return Stored(weight[at / 2u], vec4(0u), scales[at / 8u]);
  }
  if (WEIGHTS == Q4) {
    return Stored(vec4(weight[at / 4u][at % 4u]), vec4(0u), scales[at / 8u]);
  }
  return Stored(weight[at * 2u], weight[at * 2u + 1u], 0u);
}

fn signed_bytes(word: u32) -> vec4<f32> {
  return vec4<f32>((vec4(bitcast<i32>(word)) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}

fn nibbles(word: u32) -> vec4<f32> {
  return vec4<f32>((vec4(word) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u)) - 8.0;
}

fn widen(stored: Stored, at: u32) -> Eight {
  let words = stored.words;
  if (WEIGHTS == F32) {
    return Eight(bitcast<vec4<f32>>(words), bitcast<vec4<f32>>(stored.more));
  }
  if (WEIGHTS == F16) {
    return Eight(
      vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
      vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
    );
  }
  // One scale, half precision, for 32 weights.
  let pair = unpack2x16float(stored.scales);
  let scale = select(pair.x, pair.y, at / 4u % 2u == 1u);
  if (WEIGHTS == Q8) {
    let bytes = select(words.xy, words.zw, at % 2u == 1u);
    return Eight(scale * signed_bytes(bytes.x), scale * signed_bytes(bytes.y));
  }
  return Eight(scale * nibbles(words.x), scale * nibbles(words.x >> 16u));
}

fn eight(at: u32) -> Eight {
  return widen(load(at), at);
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
    let low0 = vec4<f32>(x[x0 + k]);
    let low1 = vec4<f32>(x[x1 + k]);
    let low2 = vec4<f32>(x[x2 + k]);
    let low3 = vec4<f32>(x[x3 + k]);
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
    let high0 = vec4<f32>(x[x0 + k + 1u]);
    let high1 = vec4<f32>(x[x1 + k + 1u]);
    let high2 = vec4<f32>(x[x2 + k + 1u]);
    let high3 = vec4<f32>(x[x3 + k + 1u]);
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
