// The linear map on matrix units: f16 factors, f32 sums.
//
// A workgroup makes a BM x BN tile of y, a subgroup TM x TN matrices of it. Panels of x and W are staged in workgroup
// memory as they lie, K innermost, eight halves to a vec4u: x is then read as a left matrix row by row, W as a
// right matrix column by column, and neither is transposed. The next panels are on their way from memory to registers
// while the present ones are multiplied; they are decoded when they are staged, so that nothing waits for the fetch.
//
// The offset and stride of a matrix in memory count elements of the array, here of 16 bytes.

//#include parts/matrix_unit.wgsl

alias act = f16; // x as stored
alias result = f16; // y as stored

const WEIGHTS = F16; // how W is stored

const BM = 64u;
const BN = 64u;
const BK = 32u; // at most 32: rows are padded to no more
const BUFFERS = 1u; // panels in workgroup memory; with 2 a step has one barrier, not two
const SUBGROUPS_M = 2u;
const SUBGROUPS_N = 2u;

const THREADS = SUBGROUPS_M * SUBGROUPS_N * SUBGROUP;
const TM = BM / SUBGROUPS_M / MM;
const TN = BN / SUBGROUPS_N / MN;
const STRIDE = BK / 8u + 1u; // one more than a row: eight rows then fall into different banks
const PANELS = (BM + BN) * STRIDE;
const STRIP = SUBGROUPS_M * MM; // rows of y that leave by way of workgroup memory at a time
const STRIP_STRIDE = BN / 4u + 2u;
const X_EIGHTS = BM * BK / 8u / THREADS; // that a thread fetches
const W_EIGHTS = BN * BK / 8u / THREADS;
const W_PARTS = select(1u, 2u, WEIGHTS == F32); // vec4s that hold eight weights

alias XEights = array<vec4<act>, X_EIGHTS * 2u>;
alias WEights = array<vec4u, W_EIGHTS * W_PARTS>;

//#include parts/linear.wgsl
//#include parts/formats.wgsl
//#include parts/codes.wgsl
//#include parts/epilogue.wgsl

// The panels; then strips of y in f32.
var<workgroup> staged: array<vec4u, max(BUFFERS * PANELS, STRIP * STRIP_STRIDE)>;

fn eight(low: vec4f, high: vec4f) -> vec4u {
  return vec4(pack2x16float(low.xy), pack2x16float(low.zw), pack2x16float(high.xy), pack2x16float(high.zw));
}

// Where eight i of a panel lies in its matrix, and where it is staged, counted in eights.
fn source(i: u32, first: u32, rows: u32, first_k: u32) -> u32 {
  let row = min(first + i / (BK / 8u), rows - 1u);
  return row * (shape.depth / 8u) + first_k / 8u + i % (BK / 8u);
}

fn slot(i: u32) -> u32 {
  return i / (BK / 8u) * STRIDE + i % (BK / 8u);
}

fn fetch_x(first_row: u32, first_k: u32, thread: u32, next: ptr<function, XEights>) {
  for (var e = 0u; e < X_EIGHTS; e++) {
    let at = source(e * THREADS + thread, first_row, shape.rows, first_k);
    next[e * 2u] = x[at * 2u];
    next[e * 2u + 1u] = x[at * 2u + 1u];
  }
}

// Weights as stored, with the word that holds their scale.
fn fetch_w(first_column: u32, first_k: u32, thread: u32, next: ptr<function, WEights>) {
  for (var e = 0u; e < W_EIGHTS; e++) {
    let at = source(e * THREADS + thread, first_column, shape.columns, first_k);
    if (WEIGHTS == F32) {
      next[e * W_PARTS] = weight[at * 2u];
      next[e * W_PARTS + W_PARTS - 1u] = weight[at * 2u + 1u];
    } else if (WEIGHTS == F16) {
      next[e] = weight[at];
    } else if (WEIGHTS == Q8) {
      next[e] = vec4(weight[at / 2u][at % 2u * 2u], weight[at / 2u][at % 2u * 2u + 1u], scales[at / 8u], 0u);
    } else {
      next[e] = vec4(weight[at / 4u][at % 4u], 0u, scales[at / 8u], 0u);
    }
  }
}

fn put_x(panel: u32, thread: u32, next: ptr<function, XEights>) {
  for (var e = 0u; e < X_EIGHTS; e++) {
    staged[panel + slot(e * THREADS + thread)] = vec4(halves(next[e * 2u]), halves(next[e * 2u + 1u]));
  }
}

fn put_w(panel: u32, first_column: u32, first_k: u32, thread: u32, next: ptr<function, WEights>) {
  for (var e = 0u; e < W_EIGHTS; e++) {
    let words = next[e * W_PARTS];
    var value = words;
    if (WEIGHTS == F32) {
      value = eight(bitcast<vec4f>(words), bitcast<vec4f>(next[e * W_PARTS + W_PARTS - 1u]));
    } else if (WEIGHTS != F16) {
      let scale = scale_at(words.z, source(e * THREADS + thread, first_column, shape.columns, first_k));
      if (WEIGHTS == Q8) {
        value = eight(scale * signed_bytes(words.x), scale * signed_bytes(words.y));
      } else {
        value = eight(scale * nibbles(words.x), scale * nibbles(words.x >> 16u));
      }
    }
    staged[panel + slot(e * THREADS + thread)] = value;
  }
}

// A row of every subgroup's matrices leaves for y by way of workgroup memory.
fn leave(row_of_sums: ptr<function, array<Sums, TN>>, m: u32, group: vec2u, subgroup: u32, thread: u32) {
  workgroupBarrier();
  for (var n = 0u; n < TN; n++) {
    let at = subgroup / SUBGROUPS_N * MM * STRIP_STRIDE + (subgroup % SUBGROUPS_N * TN + n) * MN / 4u;
    subgroupMatrixStore<row_major>(&staged, at, row_of_sums[n], STRIP_STRIDE);
  }
  workgroupBarrier();
  for (var i = thread; i < STRIP * BN / 4u; i += THREADS) {
    let strip_row = i / (BN / 4u);
    let row = group.y * BM + (strip_row / MM * TM + m) * MM + strip_row % MM;
    let column = group.x * BN / 4u + i % (BN / 4u);
    finish(row, column, bitcast<vec4f>(staged[strip_row * STRIP_STRIDE + i % (BN / 4u)]));
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup_id: u32,
) {
  let group = vec2(workgroup.x, shape.first_group + workgroup.y);
  let first_row = group.y * BM;
  let first_column = group.x * BN;
  let subgroup = subgroup_id % (SUBGROUPS_M * SUBGROUPS_N);
  let first_m = subgroup / SUBGROUPS_N * TM; // matrices, within the tile
  let first_n = subgroup % SUBGROUPS_N * TN;
  var sums: array<array<Sums, TN>, TM>;
  var x_next: XEights;
  var w_next: WEights;

  fetch_x(first_row, 0u, thread, &x_next);
  fetch_w(first_column, 0u, thread, &w_next);
  for (var first_k = 0u; first_k < shape.depth; first_k += BK) {
    let x_panel = first_k / BK % BUFFERS * PANELS;
    let w_panel = x_panel + BM * STRIDE;
    if (BUFFERS == 1u) {
      workgroupBarrier();
    }
    put_x(x_panel, thread, &x_next);
    put_w(w_panel, first_column, first_k, thread, &w_next);
    workgroupBarrier();
    if (first_k + BK < shape.depth) {
      fetch_x(first_row, first_k + BK, thread, &x_next);
      fetch_w(first_column, first_k + BK, thread, &w_next);
    }
    for (var k = 0u; k < BK / 8u; k += MK / 8u) {
      var a: array<Left, TM>;
      for (var m = 0u; m < TM; m++) {
        a[m] = subgroupMatrixLoad<Left, row_major>(&staged, x_panel + (first_m + m) * MM * STRIDE + k, STRIDE);
      }
      for (var n = 0u; n < TN; n++) {
        let b = subgroupMatrixLoad<Right, col_major>(&staged, w_panel + (first_n + n) * MN * STRIDE + k, STRIDE);
        for (var m = 0u; m < TM; m++) {
          sums[m][n] = subgroupMatrixMultiplyAccumulate(a[m], b, sums[m][n]);
        }
      }
    }
  }

  // One by one, not in a loop: a compiler that does not unroll a loop with barriers would keep all sums in memory.
  leave(&sums[0], 0u, group, subgroup, thread);
  if (TM > 1u) {
    leave(&sums[min(1u, TM - 1u)], 1u, group, subgroup, thread);
  }
  if (TM > 2u) {
    leave(&sums[min(2u, TM - 1u)], 2u, group, subgroup, thread);
    leave(&sums[min(3u, TM - 1u)], 3u, group, subgroup, thread);
  }
  if (TM > 4u) {
    leave(&sums[min(4u, TM - 1u)], 4u, group, subgroup, thread);
    leave(&sums[min(5u, TM - 1u)], 5u, group, subgroup, thread);
    leave(&sums[min(6u, TM - 1u)], 6u, group, subgroup, thread);
    leave(&sums[min(7u, TM - 1u)], 7u, group, subgroup, thread);
  }
}
