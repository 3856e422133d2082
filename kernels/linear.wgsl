// y = x Wᵀ + bias, then GELU, then + addend.
//
// A workgroup makes a BM x BN tile of y. It walks along K in panels of BK: the panel of x and the panel of W are staged in
// workgroup memory, transposed so that a thread reads four rows or four columns as one vec4, and every thread keeps a
// TM x TN block of sums in registers: TM * TN multiply-adds for TM + TN numbers read.
//
// Rows are padded to multiples of 32 columns with zeros, weights too, so there is no edge along K or N but the last tile's.

alias act = f32; // x as stored
alias result = f32; // y as stored

const F32 = 0u;
const F16 = 1u;
const WEIGHTS = F32; // how W is stored: f32, or halves in pairs (core WGSL, no shader-f16 needed)

const BM = 64u;
const BN = 64u;
const BK = 16u;
const TM = 4u;
const TN = 4u;
const GELU = false;
const ADD = false;

const THREADS_N = BN / TN;
const THREADS = BM / TM * THREADS_N;
const PACK = select(4u, 8u, WEIGHTS == F16); // weights in 16 bytes
const X_STRIDE = BM / 4u + 1u; // one vec4 more than a row: transposed writes then fall into different banks
const W_STRIDE = BN / 4u + 1u;

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

var<workgroup> x_panel: array<vec4<f32>, BK * X_STRIDE>;
var<workgroup> w_panel: array<vec4<f32>, BK * W_STRIDE>;

fn stage_x(first_row: u32, first_k: u32, thread: u32) {
  for (var i = thread; i < BM * BK / 4u; i += THREADS) {
    let row = i / (BK / 4u);
    let k = i % (BK / 4u) * 4u;
    let source = min(first_row + row, shape.rows - 1u);
    let value = vec4<f32>(x[(source * shape.depth + first_k + k) / 4u]);
    let slot = k * X_STRIDE + row / 4u;
    let lane = row % 4u;
    x_panel[slot][lane] = value.x;
    x_panel[slot + X_STRIDE][lane] = value.y;
    x_panel[slot + 2u * X_STRIDE][lane] = value.z;
    x_panel[slot + 3u * X_STRIDE][lane] = value.w;
  }
}

fn put_w(k: u32, column: u32, value: vec4<f32>) {
  let slot = k * W_STRIDE + column / 4u;
  let lane = column % 4u;
  w_panel[slot][lane] = value.x;
  w_panel[slot + W_STRIDE][lane] = value.y;
  w_panel[slot + 2u * W_STRIDE][lane] = value.z;
  w_panel[slot + 3u * W_STRIDE][lane] = value.w;
}

fn stage_w(first_column: u32, first_k: u32, thread: u32) {
  for (var i = thread; i < BN * BK / PACK; i += THREADS) {
    let column = i / (BK / PACK);
    let k = i % (BK / PACK) * PACK;
    let source = min(first_column + column, shape.columns - 1u);
    let words = weight[(source * shape.depth + first_k + k) / PACK];
    if (WEIGHTS == F16) {
      put_w(k, column, vec4(unpack2x16float(words.x), unpack2x16float(words.y)));
      put_w(k + 4u, column, vec4(unpack2x16float(words.z), unpack2x16float(words.w)));
    } else {
      put_w(k, column, bitcast<vec4<f32>>(words));
    }
  }
}

// The tanh form. Some drivers return NaN for tanh of large arguments; beyond 15 it is 1 in f32.
fn gelu(v: vec4<f32>) -> vec4<f32> {
  let inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
  return 0.5 * v * (1.0 + tanh(clamp(inner, vec4(-15.0), vec4(15.0))));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first_row = group.y * BM;
  let first_column = group.x * BN;
  let thread_m = thread / THREADS_N;
  let thread_n = thread % THREADS_N;
  var sums: array<vec4<f32>, TM * TN / 4u>;

  for (var first_k = 0u; first_k < shape.depth; first_k += BK) {
    workgroupBarrier();
    stage_x(first_row, first_k, thread);
    stage_w(first_column, first_k, thread);
    workgroupBarrier();
    for (var k = 0u; k < BK; k++) {
      for (var m = 0u; m < TM / 4u; m++) {
        let a = x_panel[k * X_STRIDE + thread_m * (TM / 4u) + m];
        for (var n = 0u; n < TN / 4u; n++) {
          let b = w_panel[k * W_STRIDE + thread_n + n * THREADS_N];
          let at = m * TN + n;
          sums[at] = fma(vec4(a.x), b, sums[at]);
          sums[at + TN / 4u] = fma(vec4(a.y), b, sums[at + TN / 4u]);
          sums[at + TN / 2u] = fma(vec4(a.z), b, sums[at + TN / 2u]);
          sums[at + TN / 4u * 3u] = fma(vec4(a.w), b, sums[at + TN / 4u * 3u]);
        }
      }
    }
  }

  for (var m = 0u; m < TM; m++) {
    let row = first_row + thread_m * TM + m;
    for (var n = 0u; n < TN / 4u; n++) {
      let column = first_column / 4u + thread_n + n * THREADS_N;
      if (row < shape.rows && column < shape.columns / 4u) {
        var value = sums[m * (TN / 4u) + n] + bias[column];
        if (GELU) {
          value = gelu(value);
        }
        if (ADD) {
          value += addend[row % shape.addend_rows * (shape.columns / 4u) + column];
        }
        y[row * (shape.columns / 4u) + column] = vec4<result>(value);
      }
    }
  }
}
