// Rows of floats as they stand in a file, to rows as the linear kernels read them: padded with zeros to whole groups
// of 32 columns, in f32, halves, or codes with a scale for every group. A thread makes two groups, whose scales share a
// word.
//
// Halves are rounded to nearest even, in integers: WGSL leaves open how pack2x16float rounds, and what becomes of
// subnormal numbers.

//#include parts/formats.wgsl
const BF16 = 4u;
const SOURCE = F32; // what the rows hold
const WEIGHTS = F16; // how they are stored

const THREADS = 64u;
const GROUP = 32u;

struct Shape {
  width: u32, // of a row in the file
  groups: u32, // of a stored row
  first: u32, // group to be made, counted over all rows of the weight
  end: u32, // group to stop before
  flag: u32, // raised where a weight is not finite
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> weight: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;
@group(0) @binding(4) var<storage, read_write> flags: array<atomic<u32>>;

alias Group = array<f32, GROUP>;

// The bits of the float that a half is.
fn widened(half: u32) -> u32 {
  let sign = (half & 0x8000u) << 16u;
  let magnitude = half & 0x7fffu;
  if (magnitude < 0x400u) {
    return sign | bitcast<u32>(f32(magnitude) * 0x1p-24);
  }
  return sign | ((magnitude << 13u) + select(0x38000000u, 0x70000000u, magnitude >= 0x7c00u));
}

// The half nearest to a float that is finite, of two the even one; infinity from 65520 on.
fn halved(float: u32) -> u32 {
  let sign = (float >> 16u) & 0x8000u;
  let magnitude = float & 0x7fffffffu;
  if (magnitude >= 0x477ff000u) {
    return sign | 0x7c00u;
  }
  if (magnitude >= 0x38800000u) {
    return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
  }
  // Subnormal halves are multiples of 2^-24; below half of that they are zero.
  let shift = 126u - (magnitude >> 23u);
  if (shift > 24u) {
    return sign;
  }
  let digits = (magnitude & 0x7fffffu) | 0x800000u;
  return sign | ((digits + (1u << (shift - 1u)) - 1u + ((digits >> shift) & 1u)) >> shift);
}

// The half that serves as a scale: the largest stands in for what is beyond it.
fn scale_of(value: f32) -> u32 {
  return halved(bitcast<u32>(clamp(value, -65504.0, 65504.0)));
}

fn float_of(half: u32) -> f32 {
  return bitcast<f32>(widened(half));
}

// The bits of element i of the rows.
fn element(i: u32) -> u32 {
  if (SOURCE == F32) {
    return source[i];
  }
  let half = (source[i / 2u] >> (i % 2u * 16u)) & 0xffffu;
  if (SOURCE == BF16) {
    return half << 16u;
  }
  return widened(half);
}

fn nearest(value: f32, low: f32, high: f32) -> f32 {
  return clamp(floor(value + 0.5), low, high);
}

// Of four scales the one with the least squared error: two that are somewhat less than the largest weight needs to
// become -8, each as it is and refitted to its codes.
fn best_scale(values: ptr<function, Group>, top: f32) -> u32 {
  var best = 0u;
  var least = 3e38;
  for (var start = 0u; start < 2u; start++) {
    var half = scale_of(top / -8.0 * select(0.95, 0.8, start == 0u));
    for (var round = 0u; round < 2u && (half & 0x7fffu) != 0u; round++) {
      let scale = float_of(half);
      let inverse = 1.0 / scale;
      var error = 0.0;
      var products = 0.0;
      var squares = 0.0;
      for (var i = 0u; i < GROUP; i++) {
        // Beyond this every code is the last one, and a square would overflow.
        let value = clamp((*values)[i], -1e9, 1e9);
        let code = nearest(value * inverse, -8.0, 7.0);
        let difference = value - code * scale;
        error = fma(difference, difference, error);
        products = fma(code, value, products);
        squares = fma(code, code, squares);
      }
      if (error < least) {
        best = half;
        least = error;
      }
      half = scale_of(products / squares);
    }
  }
  return best;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) thread: vec3u) {
  let pair = shape.first / 2u + thread.x;
  let first = max(pair * 2u, shape.first);
  let end = min(pair * 2u + 2u, shape.end);
  for (var group = first; group < end; group++) {
    let column = group % shape.groups * GROUP;
    let at = (group / shape.groups - shape.first / shape.groups) * shape.width + column;
    var values: Group;
    var top = 0.0;
    for (var i = 0u; i < GROUP; i++) {
      var bits = 0u;
      if (column + i < shape.width) {
        bits = element(at + i);
      }
      if ((bits & 0x7f800000u) == 0x7f800000u) {
        atomicStore(&flags[shape.flag], 1u);
        bits = 0u;
      }
      values[i] = bitcast<f32>(bits);
      if (abs(values[i]) > abs(top)) {
        top = values[i];
      }
    }
    if (WEIGHTS == F32) {
      for (var i = 0u; i < GROUP; i++) {
        weight[group * GROUP + i] = bitcast<u32>(values[i]);
      }
      continue;
    }
    if (WEIGHTS == F16) {
      for (var i = 0u; i < GROUP; i += 2u) {
        let low = halved(bitcast<u32>(values[i]));
        weight[(group * GROUP + i) / 2u] = low | (halved(bitcast<u32>(values[i + 1u])) << 16u);
      }
      continue;
    }
    var half = 0u;
    if (WEIGHTS == Q8) {
      half = scale_of(abs(top) / 127.0);
    } else {
      half = best_scale(&values, top);
    }
    let inverse = 1.0 / select(float_of(half), 1e30, (half & 0x7fffu) == 0u);
    // A word of the buffer holds the scales of two groups: what the other one has stays.
    let shift = group % 2u * 16u;
    scales[group / 2u] = (scales[group / 2u] & (0xffff0000u >> shift)) | (half << shift);
    if (WEIGHTS == Q8) {
      for (var i = 0u; i < GROUP; i += 4u) {
        var word = 0u;
        for (var j = 0u; j < 4u; j++) {
          let code = i32(nearest(values[i + j] * inverse, -127.0, 127.0));
          word |= (bitcast<u32>(code) & 0xffu) << (j * 8u);
        }
        weight[(group * GROUP + i) / 4u] = word;
      }
    } else {
      for (var i = 0u; i < GROUP; i += 8u) {
        var word = 0u;
        for (var j = 0u; j < 8u; j++) {
          let code = i32(nearest(values[i + j] * inverse, -8.0, 7.0)) + 8;
          word |= u32(code) << (j * 4u);
        }
        weight[(group * GROUP + i) / 8u] = word;
      }
    }
  }
}
