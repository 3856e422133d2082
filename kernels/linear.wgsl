// y = x Wᵀ + bias, then GELU, then + addend.
//
// A workgroup makes a BM x BN tile of y. It walks along K in panels of BK: the panel of x and the panel of W are
// staged in workgroup memory, transposed so that a thread reads four rows or four columns as one vec4, and every
// thread keeps a TM x TN block of sums in registers: TM * TN multiply-adds for TM + TN numbers read. Sums are f32
// whatever is multiplied.
//
// Rows are padded to multiples of 32 columns with zeros, weights too, so there is no edge along K or N but the last
// tile's.

alias act = f32; // x as stored
alias result = f32; // y as stored
alias operand = f32; // what is staged and multiplied

const F32 = 0u;
const F16 = 1u; // in pairs: core WGSL unpacks them, shader-f16 is not needed
const Q8 = 2u; // signed bytes
const Q4 = 3u; // nibbles, 8 more than the weight
const WEIGHTS = F32; // how W is stored

const BM = 64u;
const BN = 64u;
const BK = 16u;
const TM = 4u;
const TN = 4u;
const CHUNK = 0u; // products added up as `operand` before they go to the f32 sums; 0: each is added by itself
const GELU = false;
const ADD = false;

const THREADS_N = BN / TN;
const THREADS = BM / TM * THREADS_N;
const X_STRIDE = BM / 4u + 1u; // one vec4 more than a row: transposed writes then fall into different banks
const W_STRIDE = BN / 4u + 1u;

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

var<workgroup> x_panel: array<vec4<operand>, BK * X_STRIDE>;
var<workgroup> w_panel: array<vec4<operand>, BK * W_STRIDE>;

// Weights are read eight at a time, 16 bytes or less; `at` counts eights from the beginning of W. Widened here, they
// are f32.
struct Eight {
  low: vec4<f32>,
  high: vec4<f32>,
}

// One scale, half precision, for 32 weights.
fn scale(at: u32) -> f32 {
  let pair = unpack2x16float(scales[at / 8u]);
  return select(pair.x, pair.y, at / 4u % 2u == 1u);
}

fn signed_bytes(word: u32) -> vec4<f32> {
  return vec4<f32>((vec4(bitcast<i32>(word)) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}

fn eight(at: u32) -> Eight {
  if (WEIGHTS == F16) {
    let words = weight[at];
    return Eight(
      vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
      vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
    );
  }
  if (WEIGHTS == Q8) {
    let words = weight[at / 2u];
    let pair = select(words.xy, words.zw, at % 2u == 1u);
    return Eight(scale(at) * signed_bytes(pair.x), scale(at) * signed_bytes(pair.y));
  }
  if (WEIGHTS == Q4) {
    let word = weight[at / 4u][at % 4u];
    let low = vec4<f32>((vec4(word) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u));
    let high = vec4<f32>((vec4(word) >> vec4(16u, 20u, 24u, 28u)) & vec4(15u));
    return Eight(scale(at) * (low - 8.0), scale(at) * (high - 8.0));
  }
  return Eight(bitcast<vec4<f32>>(weight[at * 2u]), bitcast<vec4<f32>>(weight[at * 2u + 1u]));
}

fn stage_x(first_row: u32, first_k: u32, thread: u32) {
  for (var i = thread; i < BM * BK / 4u; i += THREADS) {
    let row = i / (BK / 4u);
    let k = i % (BK / 4u) * 4u;
    let source = min(first_row + row, shape.rows - 1u);
    let value = vec4<operand>(x[(source * shape.depth + first_k + k) / 4u]);
    let slot = k * X_STRIDE + row / 4u;
    let lane = row % 4u;
    x_panel[slot][lane] = value.x;
    x_panel[slot + X_STRIDE][lane] = value.y;
    x_panel[slot + 2u * X_STRIDE][lane] = value.z;
    x_panel[slot + 3u * X_STRIDE][lane] = value.w;
  }
}

fn put_w(k: u32, column: u32, value: vec4<operand>) {
  let slot = k * W_STRIDE + column / 4u;
  let lane = column % 4u;
  w_panel[slot][lane] = value.x;
  w_panel[slot + W_STRIDE][lane] = value.y;
  w_panel[slot + 2u * W_STRIDE][lane] = value.z;
  w_panel[slot + 3u * W_STRIDE][lane] = value.w;
}

fn stage_w(first_column: u32, first_k: u32, thread: u32) {
  for (var i = thread; i < BN * BK / 8u; i += THREADS) {
    let column = i / (BK / 8u);
    let k = i % (BK / 8u) * 8u;
    let source = min(first_column + column, shape.columns - 1u);
    let values = eight((source * shape.depth + first_k + k) / 8u);
    put_w(k, column, vec4<operand>(values.low));
    put_w(k + 4u, column, vec4<operand>(values.high));
  }
}

// The tanh form. Some drivers return NaN for tanh of large arguments; beyond 15 it is 1 in f32.
fn gelu(v: vec4<f32>) -> vec4<f32> {
  let inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
  return 0.5 * v * (1.0 + tanh(clamp(inner, vec4(-15.0), vec4(15.0))));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first_row = (shape.first_group + group.y) * BM;
  let first_column = group.x * BN;
  let thread_m = thread / THREADS_N;
  let thread_n = thread % THREADS_N;
  var sums: array<vec4<f32>, TM * TN / 4u>;

  for (var first_k = 0u; first_k < shape.depth; first_k += BK) {
    workgroupBarrier();
    stage_x(first_row, first_k, thread);
    stage_w(first_column, first_k, thread);
    workgroupBarrier();
    if (CHUNK == 0u) {
      for (var k = 0u; k < BK; k++) {
        for (var m = 0u; m < TM / 4u; m++) {
          let a = vec4<f32>(x_panel[k * X_STRIDE + thread_m * (TM / 4u) + m]);
          for (var n = 0u; n < TN / 4u; n++) {
            let b = vec4<f32>(w_panel[k * W_STRIDE + thread_n + n * THREADS_N]);
            let at = m * TN + n;
            sums[at] = fma(vec4(a.x), b, sums[at]);
            sums[at + TN / 4u] = fma(vec4(a.y), b, sums[at + TN / 4u]);
            sums[at + TN / 2u] = fma(vec4(a.z), b, sums[at + TN / 2u]);
            sums[at + TN / 4u * 3u] = fma(vec4(a.w), b, sums[at + TN / 4u * 3u]);
          }
        }
      }
    } else {
      for (var chunk = 0u; chunk < BK; chunk += max(CHUNK, 1u)) {
        // Initialised by a value: Dawn clears a variable declared without one only once, not every time round.
        var part = array<vec4<operand>, TM * TN / 4u>();
        for (var k = chunk; k < chunk + CHUNK; k++) {
          for (var m = 0u; m < TM / 4u; m++) {
            let a = x_panel[k * X_STRIDE + thread_m * (TM / 4u) + m];
            for (var n = 0u; n < TN / 4u; n++) {
              let b = w_panel[k * W_STRIDE + thread_n + n * THREADS_N];
              let at = m * TN + n;
              part[at] = fma(vec4(a.x), b, part[at]);
              part[at + TN / 4u] = fma(vec4(a.y), b, part[at + TN / 4u]);
              part[at + TN / 2u] = fma(vec4(a.z), b, part[at + TN / 2u]);
              part[at + TN / 4u * 3u] = fma(vec4(a.w), b, part[at + TN / 4u * 3u]);
            }
          }
        }
        for (var at = 0u; at < TM * TN / 4u; at++) {
          sums[at] += vec4<f32>(part[at]);
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
