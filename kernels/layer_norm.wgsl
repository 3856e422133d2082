// y = (x - mean) / sqrt(variance + eps) * weight + bias, over each row.
//
// One workgroup a row. The variance is that of the differences from the mean, in a second pass: the one-pass form
// E[x²] - E[x]² cancels where one feature is a hundred times the others, as in trained transformers. All of it is f32.

alias act = f32; // x as stored
alias result = f32; // y as stored

const THREADS = 64u;

struct Shape {
  rows: u32,
  width: u32, // features that count
  stride: u32, // of a row of x and y, padded
  eps: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<act>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<result>;

var<workgroup> partial: array<f32, THREADS>;

// Every thread gets the sum of all threads' values.
fn total(value: f32, thread: u32) -> f32 {
  workgroupBarrier();
  partial[thread] = value;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      partial[thread] += partial[thread + half];
    }
  }
  return workgroupUniformLoad(&partial[0]);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= shape.rows) {
    return;
  }
  let first = row * shape.stride;

  var sum = 0.0;
  for (var d = thread; d < shape.width; d += THREADS) {
    sum += f32(x[first + d]);
  }
  let mean = total(sum, thread) / f32(shape.width);

  var squares = 0.0;
  for (var d = thread; d < shape.width; d += THREADS) {
    let difference = f32(x[first + d]) - mean;
    squares += difference * difference;
  }
  let scale = inverseSqrt(total(squares, thread) / f32(shape.width) + shape.eps);

  // Weight and bias are zero in the padding, and so is y then, whatever x holds there.
  for (var d = thread; d < shape.stride; d += THREADS) {
    let value = (f32(x[first + d]) - mean) * scale * weight[d] + bias[d];
    y[first + d] = result(select(0.0, value, d < shape.width));
  }
}
