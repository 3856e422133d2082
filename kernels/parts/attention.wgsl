const LENGTHS = false; // whether items attend to as many keys as `lengths` says, or to all
const FAR_BELOW = -1e30; // stands for minus infinity, which WGSL may assume away

struct Shape {
  queries: u32,
  keys: u32,
  heads: u32,
  q_item: u32, // rows from one item's queries to the next's; 0 where one q serves all
  q_stride: u32, // elements from row to row, and where the first head of a row begins
  q_offset: u32,
  k_stride: u32,
  k_offset: u32,
  v_stride: u32,
  v_offset: u32,
  y_stride: u32,
  scale: f32,
  first_head: u32, // of this dispatch: long work is cut by heads
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(4) var<storage, read> lengths: array<f32>; // any buffer without LENGTHS
