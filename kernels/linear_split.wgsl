// The linear map for few rows. K is cut up among the threads of a workgroup, so that enough of them are at work even
// where y has a single row, and neighbours read neighbouring weights. A thread adds up its share of ROWS rows by four
// columns; the shares are added up in workgroup memory, always in the same order.

alias act = f32; // x as stored
alias result = f32; // y as stored

const F32 = 0u;
const F16 = 1u; // in pairs: core WGSL unpacks them, shader-f16 is not needed
const Q8 = 2u; // signed bytes
const Q4 = 3u; // nibbles, 8 more than the weight
const WEIGHTS = F32; // how W is stored

const SPLIT = 32u; // threads that share a sum: a power of two, and not less than ROWS
const THREADS_N = 2u;
const ROWS = 4u;
const GELU = false;
const ADD = false;

const THREADS = SPLIT * THREADS_N;

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

var<workgroup> shares: array<array<vec4<f32>, ROWS>, THREADS>;

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

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first_row = (shape.first_group + group.y) * ROWS;
  let column = group.x * THREADS_N + thread / SPLIT;
  let part = thread % SPLIT;
  let depth8 = shape.depth / 8u;
  var sums: array<vec4<f32>, ROWS * 4u>;
  for (var k = part; k < depth8; k += SPLIT) {
    var low: array<vec4<f32>, ROWS>;
    var high: array<vec4<f32>, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
      let at = min(first_row + r, shape.rows - 1u) * depth8 + k;
      low[r] = vec4<f32>(x[at * 2u]);
      high[r] = vec4<f32>(x[at * 2u + 1u]);
    }
    for (var c = 0u; c < 4u; c++) {
      let b = eight((column * 4u + c) * depth8 + k);
      for (var r = 0u; r < ROWS; r++) {
        sums[r * 4u + c] = fma(high[r], b.high, fma(low[r], b.low, sums[r * 4u + c]));
      }
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    let own = vec4(total(sums[r * 4u]), total(sums[r * 4u + 1u]), total(sums[r * 4u + 2u]), total(sums[r * 4u + 3u]));
    shares[thread][r] = own;
  }
  for (var others = SPLIT / 2u; others > 0u; others /= 2u) {
    workgroupBarrier();
    if (part < others) {
      for (var r = 0u; r < ROWS; r++) {
        shares[thread][r] += shares[thread + others][r];
      }
    }
  }
  workgroupBarrier();
  if (part < ROWS) {
    finish(first_row + part, column, shares[thread - part][part]);
  }
}
