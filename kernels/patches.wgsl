// Cuts pictures into patches: x [batch, channels, size, size] to y [batch, grid * grid, channels * patch * patch]. Each
// row is in (channel, row, column) order, that of the convolution's weight. The last size % patch rows and columns of a
// picture are dropped, as a valid convolution does.

const THREADS = 64u;

struct Shape {
  rows: u32, // of y
  stride: u32, // of y, in elements; what is beyond a patch is zero
  depth: u32, // elements of a patch
  size: u32, // of a picture, in pixels
  pitch: u32, // of a row of pixels, in elements
  side: u32, // rows and columns of a patch
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

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
  let side = shape.side;
  let grid = shape.size / side;
  let picture = row / (grid * grid);
  let channels = shape.depth / (side * side);
  let top = row / grid % grid * side;
  let left = row % grid * side;
  for (var d = thread; d < shape.stride; d += THREADS) {
    var value = 0.0;
    if (d < shape.depth) {
      let channel = picture * channels + d / (side * side);
      value = x[(channel * shape.size + top + d / side % side) * shape.pitch + left + d % side];
    }
    y[row * shape.stride + d] = value;
  }
}
