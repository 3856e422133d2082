// y = x Wᵀ + bias, then GELU, then + addend.
//
// A workgroup makes a BM x BN tile of y. It walks along K in panels of BK: the panel of x and the panel of W are
// staged in workgroup memory, transposed so that a thread reads four rows or four columns as one vec4, and every
// thread keeps a TM x TN block of sums in registers: TM * TN multiply-adds for TM + TN numbers read. The next panels
// are on their way from memory to registers while the present ones are multiplied.
//
// Rows are padded to multiples of 32 columns with zeros, weights too, so there is no edge along K or N but the last
// tile's.

alias act = f32; // x as stored
alias result = f32; // y as stored
alias operand = f32; // what is staged and multiplied

const WEIGHTS = F32; // how W is stored

const BM = 64u;
const BN = 64u;
const BK = 16u; // 8, 16 or 32
const TM = 4u;
const TN = 4u;
const PARTS = false; // four products are added up as `operand` before they go to the f32 sums

const THREADS_M = BM / TM;
const THREADS_N = BN / TN;
const THREADS = THREADS_M * THREADS_N;
const X_FOURS = (BM * BK / 4u + THREADS - 1u) / THREADS; // of a panel that a thread brings
const W_EIGHTS = (BN * BK / 8u + THREADS - 1u) / THREADS;

//#include parts/linear.wgsl
//#include parts/weights.wgsl
//#include parts/epilogue.wgsl

// A panel by k / 4 and k % 4, then by the fours that a thread reads of it, and last by threads: what is constant once
// the loops are unrolled is an index of its own and need not be checked. Fours are no vec4s: different threads write
// their members, and a write to one component of a vector may rewrite the others, as it does on Metal.
alias Four = array<operand, 4>;
var<workgroup> x_panel: array<array<array<array<Four, THREADS_M>, TM / 4u>, 4>, BK / 4u>;
var<workgroup> w_panel: array<array<array<array<Four, THREADS_N>, TN / 4u>, 4>, BK / 4u>;

struct Pieces {
  x: array<vec4<act>, X_FOURS>,
  w: array<Stored, W_EIGHTS>,
}

// Where piece i of a panel begins in x or in W, counted in pieces of so many columns.
fn source(i: u32, columns: u32, first: u32, rows: u32, first_k: u32) -> u32 {
  let row = min(first + i / (BK / columns), rows - 1u);
  return row * (shape.depth / columns) + first_k / columns + i % (BK / columns);
}

fn fetch(first_row: u32, first_column: u32, first_k: u32, thread: u32) -> Pieces {
  var pieces: Pieces;
  for (var e = 0u; e < X_FOURS; e++) {
    pieces.x[e] = x[source(e * THREADS + thread, 4u, first_row, shape.rows, first_k)];
  }
  for (var e = 0u; e < W_EIGHTS; e++) {
    pieces.w[e] = load(source(e * THREADS + thread, 8u, first_column, shape.columns, first_k));
  }
  return pieces;
}

// Where the four that thread `at` reads lies. A warp stages several fours of k at a time: each is shuffled in its own
// way, so that all that is written at once falls into different banks.
fn place(k4: u32, at: u32) -> u32 {
  return at ^ (k4 * (32u / BK));
}

fn put_x(k4: u32, row: u32, value: vec4<operand>) {
  let m = row / 4u / THREADS_M;
  let at = place(k4, row / 4u % THREADS_M);
  x_panel[k4][0][m][at][row % 4u] = value.x;
  x_panel[k4][1][m][at][row % 4u] = value.y;
  x_panel[k4][2][m][at][row % 4u] = value.z;
  x_panel[k4][3][m][at][row % 4u] = value.w;
}

fn put_w(k4: u32, column: u32, value: vec4<operand>) {
  let n = column / 4u / THREADS_N;
  let at = place(k4, column / 4u % THREADS_N);
  w_panel[k4][0][n][at][column % 4u] = value.x;
  w_panel[k4][1][n][at][column % 4u] = value.y;
  w_panel[k4][2][n][at][column % 4u] = value.z;
  w_panel[k4][3][n][at][column % 4u] = value.w;
}

fn stage(pieces: ptr<function, Pieces>, first_column: u32, first_k: u32, thread: u32) {
  for (var e = 0u; e < X_FOURS; e++) {
    let i = e * THREADS + thread;
    if (BM * BK / 4u % THREADS == 0u || i < BM * BK / 4u) {
      put_x(i % (BK / 4u), i / (BK / 4u), vec4<operand>((*pieces).x[e]));
    }
  }
  for (var e = 0u; e < W_EIGHTS; e++) {
    let i = e * THREADS + thread;
    if (BN * BK / 8u % THREADS == 0u || i < BN * BK / 8u) {
      let values = widen((*pieces).w[e], source(i, 8u, first_column, shape.columns, first_k));
      put_w(i % (BK / 8u) * 2u, i / (BK / 8u), vec4<operand>(values.low));
      put_w(i % (BK / 8u) * 2u + 1u, i / (BK / 8u), vec4<operand>(values.high));
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_row = (shape.first_group + group.y) * BM;
  let first_column = group.x * BN;
  // 32 threads, a warp, take 4 x 8 blocks: 16 of them read but two vec4s of x and eight of W at a time.
  let warp = thread / 32u;
  let thread_m = warp / (THREADS_N / 8u) * 4u + thread / 16u % 2u * 2u + thread % 2u;
  let thread_n = warp % (THREADS_N / 8u) * 8u + thread / 2u % 8u;
  var sums: array<vec4f, TM * TN / 4u>;
  var part: array<vec4<operand>, TM * TN / 4u>;

  var next = fetch(first_row, first_column, 0u, thread);
  stage(&next, first_column, 0u, thread);
  workgroupBarrier();
  for (var first_k = 0u; first_k < shape.depth; first_k += BK) {
    // The last panel is fetched once more: that costs less than a branch, which would have the values copied.
    let next_k = min(first_k + BK, shape.depth - BK);
    next = fetch(first_row, first_column, next_k, thread);
    // Eight steps at a time: compilers do not unroll much more.
    for (var k8 = 0u; k8 < BK / 8u; k8++) {
      for (var k = 0u; k < 8u; k++) {
        let k4 = k8 * 2u + k / 4u;
        var b: array<vec4<operand>, TN / 4u>;
        for (var n = 0u; n < TN / 4u; n++) {
          let four = &w_panel[k4][k % 4u][n][place(k4, thread_n)];
          b[n] = vec4((*four)[0], (*four)[1], (*four)[2], (*four)[3]);
        }
        for (var m = 0u; m < TM / 4u; m++) {
          let four = &x_panel[k4][k % 4u][m][place(k4, thread_m)];
          let a = vec4((*four)[0], (*four)[1], (*four)[2], (*four)[3]);
          for (var n = 0u; n < TN / 4u; n++) {
            let at = m * TN + n;
            part[at] = fma(vec4(a.x), b[n], part[at]);
            part[at + TN / 4u] = fma(vec4(a.y), b[n], part[at + TN / 4u]);
            part[at + TN / 2u] = fma(vec4(a.z), b[n], part[at + TN / 2u]);
            part[at + TN / 4u * 3u] = fma(vec4(a.w), b[n], part[at + TN / 4u * 3u]);
          }
        }
        if (PARTS && k % 4u == 3u) {
          for (var at = 0u; at < TM * TN / 4u; at++) {
            sums[at] += vec4f(part[at]);
            part[at] = vec4<operand>();
          }
        }
      }
    }
    workgroupBarrier();
    stage(&next, first_column, next_k, thread);
    workgroupBarrier();
  }

  for (var m = 0u; m < TM; m++) {
    let row = first_row + (thread_m + m / 4u * THREADS_M) * 4u + m % 4u;
    for (var n = 0u; n < TN / 4u; n++) {
      let at = m * (TN / 4u) + n;
      let column = first_column / 4u + thread_n + n * THREADS_N;
      finish(row, column, sums[at] + vec4f(part[at]));
    }
  }
}
