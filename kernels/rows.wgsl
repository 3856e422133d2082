// y[i] = x[indices[i]]: whole rows, padding included.

const THREADS = 64u;

struct Shape {
  rows: u32, // of y
  stride: u32, // of x and y, in elements
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= shape.rows) {
    return;
  }
  for (var d = thread; d < shape.stride; d += THREADS) {
    y[row * shape.stride + d] = x[indices[row] * shape.stride + d];
  }
}
