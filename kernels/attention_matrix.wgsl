// Attention on matrix units: f16 factors, f32 sums and softmax; for heads of a multiple of 8 features.
//
// What a matrix holds cannot be scaled row by row, so sums are never rescaled: the keys are walked over twice, first
// for the largest score of every row, then for the weights and their sums. Scores come to the threads by way of
// workgroup memory, and the weights go back as halves to where their thread found its scores.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);

alias act = f16; // q, k and v as stored
alias result = f16; // y as stored

const HEAD = 72u; // features of a head
const KEYS = 32u; // of a step; a multiple of LANES * MK
const SUBGROUPS = 4u; // each takes MM rows of q
const SUBGROUP = 32u; // threads of the largest subgroup
const MM = 16u; // shape of the matrix unit
const MN = 16u;
const MK = 16u;

const THREADS = SUBGROUPS * SUBGROUP;
const QUERIES = SUBGROUPS * MM;
const LANES = SUBGROUP / MM; // threads that share a row of scores
const OWN4 = KEYS / LANES / 4u; // scores of such a thread, in vec4s
const EIGHTS = (HEAD + 15u) / 16u * 2u; // a head in eight halves each, filled up with zeros
const STRIDE = EIGHTS + 1u; // one more than a row: eight rows then fall into different banks
const SCORES_STRIDE = KEYS / 4u + 1u;
const TILE = QUERIES * SCORES_STRIDE; // where the keys or values are staged, after the scores
const FAR_BELOW = -1e30; // stands for minus infinity, which WGSL may assume away

alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Sums = subgroup_matrix_result<f32, MN, MM>;
alias Queries = array<Left, EIGHTS * 8u / MK>;

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
@group(0) @binding(1) var<storage, read> q: array<vec4<act>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<act>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<act>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<result>>;

// The queries; then scores and keys or values; then strips of y in f32.
var<workgroup> staged: array<vec4<u32>, max(QUERIES * STRIDE, TILE + KEYS * STRIDE)>;
var<workgroup> shared_rows: array<f32, THREADS>;

fn halves(v: vec4<act>) -> vec2<u32> {
  return bitcast<vec2<u32>>(vec4<f16>(v));
}

fn slot(i: u32) -> u32 {
  return i / EIGHTS * STRIDE + i % EIGHTS;
}

fn stage_q(item: u32, head: u32, first: u32, thread: u32) {
  for (var i = thread; i < QUERIES * EIGHTS; i += THREADS) {
    let row = first + i / EIGHTS;
    let d = i % EIGHTS * 8u;
    var value = vec4(0u);
    if (row < shape.queries && d < HEAD) {
      let at = ((item * shape.q_item + row) * shape.q_stride + shape.q_offset + head * HEAD + d) / 4u;
      value = vec4(halves(q[at]), halves(q[at + 1u]));
    }
    staged[slot(i)] = value;
  }
}

fn stage_k(item: u32, head: u32, first: u32, thread: u32) {
  for (var i = thread; i < KEYS * EIGHTS; i += THREADS) {
    let row = first + i / EIGHTS;
    let d = i % EIGHTS * 8u;
    var value = vec4(0u);
    if (row < shape.keys && d < HEAD) {
      let at = ((item * shape.keys + row) * shape.k_stride + shape.k_offset + head * HEAD + d) / 4u;
      value = vec4(halves(k[at]), halves(k[at + 1u]));
    }
    staged[TILE + slot(i)] = value;
  }
}

fn stage_v(item: u32, head: u32, first: u32, thread: u32) {
  for (var i = thread; i < KEYS * EIGHTS; i += THREADS) {
    let row = first + i / EIGHTS;
    let d = i % EIGHTS * 8u;
    var value = vec4(0u);
    if (row < shape.keys && d < HEAD) {
      let at = ((item * shape.keys + row) * shape.v_stride + shape.v_offset + head * HEAD + d) / 4u;
      value = vec4(halves(v[at]), halves(v[at + 1u]));
    }
    staged[TILE + slot(i)] = value;
  }
}

// The scores of MM rows for the keys that are staged, to where those rows' scores lie.
fn make_scores(rows: ptr<function, Queries>, first: u32) {
  for (var n = 0u; n < KEYS / MN; n++) {
    var sums = Sums(); // said outright: Dawn 0.6 clears a variable without a value once, not in every round
    for (var d = 0u; d < EIGHTS * 8u / MK; d++) {
      let b = subgroupMatrixLoad<Right, col_major>(&staged, TILE + n * MN * STRIDE + d * (MK / 8u), STRIDE);
      sums = subgroupMatrixMultiplyAccumulate(rows[d], b, sums);
    }
    subgroupMatrixStore<row_major>(&staged, first * SCORES_STRIDE + n * MN / 4u, sums, SCORES_STRIDE);
  }
}

// Four scores, those of keys that are not there far below.
fn score(at: u32, key: u32) -> vec4<f32> {
  let scaled = bitcast<vec4<f32>>(staged[at]) * shape.scale;
  return select(vec4(FAR_BELOW), scaled, vec4(key) + vec4(0u, 1u, 2u, 3u) < vec4(shape.keys));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let first_query = group.x * QUERIES;
  let head = shape.first_head + group.y;
  let item = group.z;
  let first = subgroup % SUBGROUPS * MM; // row of this subgroup's matrices
  let row = thread / LANES;
  let own = thread % LANES * OWN4; // this thread's first scores of its row
  let place = row * SCORES_STRIDE + own;

  stage_q(item, head, first_query, thread);
  workgroupBarrier();
  var rows: Queries;
  for (var d = 0u; d < EIGHTS * 8u / MK; d++) {
    rows[d] = subgroupMatrixLoad<Left, row_major>(&staged, first * STRIDE + d * (MK / 8u), STRIDE);
  }

  var top = vec4(FAR_BELOW);
  for (var first_key = 0u; first_key < shape.keys; first_key += KEYS) {
    workgroupBarrier();
    stage_k(item, head, first_key, thread);
    workgroupBarrier();
    make_scores(&rows, first);
    workgroupBarrier();
    for (var i = 0u; i < OWN4; i++) {
      top = max(top, score(place + i, first_key + (own + i) * 4u));
    }
  }
  shared_rows[thread] = max(max(top.x, top.y), max(top.z, top.w));
  workgroupBarrier();
  var largest = FAR_BELOW;
  for (var i = 0u; i < LANES; i++) {
    largest = max(largest, shared_rows[row * LANES + i]);
  }

  var sum = 0.0;
  var out: array<Sums, EIGHTS * 8u / MN>;
  for (var first_key = 0u; first_key < shape.keys; first_key += KEYS) {
    workgroupBarrier();
    stage_k(item, head, first_key, thread);
    workgroupBarrier();
    make_scores(&rows, first);
    workgroupBarrier();
    stage_v(item, head, first_key, thread);
    for (var i = 0u; i < OWN4; i += 2u) {
      let low = exp(score(place + i, first_key + (own + i) * 4u) - largest);
      let high = exp(score(place + i + 1u, first_key + (own + i) * 4u + 4u) - largest);
      sum += dot(low, vec4(1.0)) + dot(high, vec4(1.0));
      staged[place + i / 2u] = vec4(
        pack2x16float(low.xy), pack2x16float(low.zw), pack2x16float(high.xy), pack2x16float(high.zw),
      );
    }
    workgroupBarrier();
    for (var j = 0u; j < KEYS; j += MK) {
      let at = first * SCORES_STRIDE + j / (OWN4 * 4u) * OWN4 + j % (OWN4 * 4u) / 8u;
      let p = subgroupMatrixLoad<Left, row_major>(&staged, at, SCORES_STRIDE);
      for (var n = 0u; n < EIGHTS * 8u / MN; n++) {
        let b = subgroupMatrixLoad<Right, row_major>(&staged, TILE + j * STRIDE + n * (MN / 8u), STRIDE);
        out[n] = subgroupMatrixMultiplyAccumulate(p, b, out[n]);
      }
    }
  }

  workgroupBarrier();
  shared_rows[thread] = sum;
  for (var n = 0u; n < EIGHTS * 8u / MN; n++) {
    workgroupBarrier();
    subgroupMatrixStore<row_major>(&staged, first * (MN / 4u + 1u), out[n], MN / 4u + 1u);
    workgroupBarrier();
    for (var i = thread; i < QUERIES * MN / 4u; i += THREADS) {
      let tile_row = i / (MN / 4u);
      let query = first_query + tile_row;
      let d = n * MN + i % (MN / 4u) * 4u;
      if (query < shape.queries && d < HEAD) {
        var total = 0.0;
        for (var lane = 0u; lane < LANES; lane++) {
          total += shared_rows[tile_row * LANES + lane];
        }
        let value = bitcast<vec4<f32>>(staged[tile_row * (MN / 4u + 1u) + i % (MN / 4u)]) / total;
        y[((item * shape.queries + query) * shape.y_stride + head * HEAD + d) / 4u] = vec4<result>(value);
      }
    }
  }
  if (head == shape.heads - 1u && first_query + row < shape.queries) {
    // The row's padding, which the next linear map multiplies with zero weights, must be finite.
    let base = (item * shape.queries + first_query + row) * shape.y_stride;
    for (var d = shape.heads * HEAD + thread % LANES * 4u; d < shape.y_stride; d += LANES * 4u) {
      y[(base + d) / 4u] = vec4<result>();
    }
  }
}
