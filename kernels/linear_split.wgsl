// The linear map for few rows. K is cut up among the threads of a workgroup, so that enough of them are at work even
// where y has a single row, and neighbours read neighbouring weights. A thread adds up its share of ROWS rows by four
// columns; the shares are added up in workgroup memory, always in the same order.

alias act = f32; // x as stored
alias result = f32; // y as stored

const WEIGHTS = F32; // how W is stored

const SPLIT = 32u; // threads that share a sum: a power of two, and not less than ROWS
const THREADS_N = 2u;
const ROWS = 4u;

const THREADS = SPLIT * THREADS_N;

//#include parts/linear.wgsl
//#include parts/weights.wgsl
//#include parts/epilogue.wgsl
//#include parts/total.wgsl

var<workgroup> shares: array<array<vec4f, ROWS>, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_row = (shape.first_group + group.y) * ROWS;
  let column = group.x * THREADS_N + thread / SPLIT;
  let part = thread % SPLIT;
  let depth8 = shape.depth / 8u;
  var sums: array<vec4f, ROWS * 4u>;
  for (var k = part; k < depth8; k += SPLIT) {
    var low: array<vec4f, ROWS>;
    var high: array<vec4f, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
      let at = min(first_row + r, shape.rows - 1u) * depth8 + k;
      low[r] = vec4f(x[at * 2u]);
      high[r] = vec4f(x[at * 2u + 1u]);
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
