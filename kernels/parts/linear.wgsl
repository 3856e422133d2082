// What every linear map is given: its shape, operands and result.
struct Shape {
  rows: u32, // of x and y
  depth: u32, // columns of x and of W, padded
  columns: u32, // of y, padded
  addend_rows: u32, // the addend repeats after so many rows
  first_group: u32, // of this dispatch along y: long work is cut by rows
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4<act>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4u>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read> addend: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<result>>;
