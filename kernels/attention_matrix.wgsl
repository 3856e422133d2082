// Attention on matrix units: f16 factors, f32 sums and softmax; for heads of a multiple of 8 features.
//
// What a matrix holds cannot be scaled row by row. So weights are taken relative to a score that is kept while no row
// has one greater by more than SLACK, and only then do the sums go by way of workgroup memory to be scaled: seldom
// after the first keys. A subgroup takes as many rows of q as it has threads, so that a thread has a row's scores,
// their top and their sum to itself; scores reach it through workgroup memory, and its weights go back as halves.

//#include parts/matrix_unit.wgsl

alias act = f16; // q, k and v as stored
alias result = f16; // y as stored

const HEAD = 72u; // features of a head
const KEYS = 32u; // of a step; at least two matrices of columns
const SUBGROUPS = 4u;

const QUERIES = SUBGROUPS * SUBGROUP; // and threads
const TM = SUBGROUP / MM;
const EIGHTS = (HEAD + 15u) / 16u * 2u; // a head in eight halves each, filled up with zeros
const TN = EIGHTS * 8u / MN;
const STRIDE = EIGHTS + 1u; // one more than a row: eight rows then fall into different banks
const SCORES_STRIDE = KEYS / 4u + 1u;
const TILE = QUERIES * SCORES_STRIDE; // where the keys or values are staged, after the scores
const SLACK = 8.0;
const LIFT = 2.0; // weights are e^2 at a row's top, at most e^10: less of them is too small for a half

alias Queries = array<array<Left, EIGHTS * 8u / MK>, TM>;

//#include parts/attention.wgsl
@group(0) @binding(1) var<storage, read> q: array<vec4<act>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<act>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<act>>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<result>>;

// The queries; then scores, or two columns of matrices of y in f32, and keys or values.
var<workgroup> staged: array<vec4u, max(QUERIES * STRIDE, TILE + KEYS * STRIDE)>;
var<workgroup> grown: atomic<u32>; // whether a row has a score that is too great

fn slot(i: u32) -> u32 {
  return i / EIGHTS * STRIDE + i % EIGHTS;
}

fn stage_q(item: u32, head: u32, first: u32, thread: u32) {
  for (var i = thread; i < QUERIES * EIGHTS; i += QUERIES) {
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

fn stage_k(item: u32, head: u32, first: u32, keys: u32, thread: u32) {
  for (var i = thread; i < KEYS * EIGHTS; i += QUERIES) {
    let row = first + i / EIGHTS;
    let d = i % EIGHTS * 8u;
    var value = vec4(0u);
    if (row < keys && d < HEAD) {
      let at = ((item * shape.keys + row) * shape.k_stride + shape.k_offset + head * HEAD + d) / 4u;
      value = vec4(halves(k[at]), halves(k[at + 1u]));
    }
    staged[TILE + slot(i)] = value;
  }
}

fn stage_v(item: u32, head: u32, first: u32, keys: u32, thread: u32) {
  for (var i = thread; i < KEYS * EIGHTS; i += QUERIES) {
    let row = first + i / EIGHTS;
    let d = i % EIGHTS * 8u;
    var value = vec4(0u);
    if (row < keys && d < HEAD) {
      let at = ((item * shape.keys + row) * shape.v_stride + shape.v_offset + head * HEAD + d) / 4u;
      value = vec4(halves(v[at]), halves(v[at + 1u]));
    }
    staged[TILE + slot(i)] = value;
  }
}

// The scores of a subgroup's rows for the keys that are staged, to where those rows' scores lie.
fn make_scores(rows: ptr<function, Queries>, first: u32) {
  for (var n = 0u; n < KEYS / MN; n++) {
    var sums = array<Sums, TM>(); // said outright: Dawn 0.6 clears a variable without a value once, not in every round
    for (var d = 0u; d < EIGHTS * 8u / MK; d++) {
      let b = subgroupMatrixLoad<Right, col_major>(&staged, TILE + n * MN * STRIDE + d * (MK / 8u), STRIDE);
      for (var m = 0u; m < TM; m++) {
        sums[m] = subgroupMatrixMultiplyAccumulate(rows[m][d], b, sums[m]);
      }
    }
    for (var m = 0u; m < TM; m++) {
      subgroupMatrixStore<row_major>(&staged, (first + m * MM) * SCORES_STRIDE + n * MN / 4u, sums[m], SCORES_STRIDE);
    }
  }
}

@compute @workgroup_size(QUERIES)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let first_query = group.x * QUERIES;
  let head = shape.first_head + group.y;
  let item = group.z;
  let keys = select(shape.keys, u32(lengths[item]), LENGTHS);
  let first = subgroup % SUBGROUPS * SUBGROUP; // row of this subgroup's matrices
  let query = first_query + thread; // this thread's row
  let place = thread * SCORES_STRIDE; // of its scores

  stage_q(item, head, first_query, thread);
  workgroupBarrier();
  var rows: Queries;
  for (var m = 0u; m < TM; m++) {
    for (var d = 0u; d < EIGHTS * 8u / MK; d++) {
      rows[m][d] = subgroupMatrixLoad<Left, row_major>(&staged, (first + m * MM) * STRIDE + d * (MK / 8u), STRIDE);
    }
  }

  var top = FAR_BELOW; // what weights are relative to
  var sum = 0.0;
  var out: array<array<Sums, TN>, TM>;
  for (var first_key = 0u; first_key < keys; first_key += KEYS) {
    workgroupBarrier();
    stage_k(item, head, first_key, keys, thread);
    if (thread == 0u) {
      atomicStore(&grown, 0u);
    }
    workgroupBarrier();
    make_scores(&rows, first);
    workgroupBarrier();

    stage_v(item, head, first_key, keys, thread);
    var scores: array<vec4f, KEYS / 4u>;
    var tops = vec4(FAR_BELOW);
    for (var i = 0u; i < KEYS / 4u; i++) {
      let there = vec4(first_key + i * 4u) + vec4(0u, 1u, 2u, 3u) < vec4(keys);
      scores[i] = select(vec4(FAR_BELOW), bitcast<vec4f>(staged[place + i]) * shape.scale, there);
      tops = max(tops, scores[i]);
    }
    let next = max(max(tops.x, tops.y), max(tops.z, tops.w));
    if (first_key == 0u) {
      top = next;
    } else if (next > top + SLACK) {
      atomicStore(&grown, 1u);
    }
    if (workgroupUniformLoad(&grown) != 0u) {
      let shrink = exp(top - max(top, next));
      top = max(top, next);
      sum *= shrink;
      for (var n = 0u; n < TN; n++) {
        let column = n % 2u * MN / 4u; // beside those that others may be loading still
        for (var m = 0u; m < TM; m++) {
          let at = (first + m * MM) * SCORES_STRIDE + column;
          subgroupMatrixStore<row_major>(&staged, at, out[m][n], SCORES_STRIDE);
        }
        workgroupBarrier();
        for (var i = 0u; i < MN / 4u; i++) {
          let at = place + column + i;
          staged[at] = bitcast<vec4u>(bitcast<vec4f>(staged[at]) * shrink);
        }
        workgroupBarrier();
        for (var m = 0u; m < TM; m++) {
          let at = (first + m * MM) * SCORES_STRIDE + column;
          out[m][n] = subgroupMatrixLoad<Sums, row_major>(&staged, at, SCORES_STRIDE);
        }
      }
      workgroupBarrier();
    }

    for (var i = 0u; i < KEYS / 8u; i++) {
      let low = exp(scores[i * 2u] - top + LIFT);
      let high = exp(scores[i * 2u + 1u] - top + LIFT);
      sum += dot(low, vec4(1.0)) + dot(high, vec4(1.0));
      staged[place + i] = vec4(
        pack2x16float(low.xy), pack2x16float(low.zw), pack2x16float(high.xy), pack2x16float(high.zw),
      );
    }
    workgroupBarrier();
    for (var j = 0u; j < KEYS; j += MK) {
      var weights: array<Left, TM>;
      for (var m = 0u; m < TM; m++) {
        let at = (first + m * MM) * SCORES_STRIDE + j / 8u;
        weights[m] = subgroupMatrixLoad<Left, row_major>(&staged, at, SCORES_STRIDE);
      }
      for (var n = 0u; n < TN; n++) {
        let b = subgroupMatrixLoad<Right, row_major>(&staged, TILE + j * STRIDE + n * (MN / 8u), STRIDE);
        for (var m = 0u; m < TM; m++) {
          out[m][n] = subgroupMatrixMultiplyAccumulate(weights[m], b, out[m][n]);
        }
      }
    }
  }

  let base = (item * shape.queries + query) * shape.y_stride;
  for (var n = 0u; n < TN; n++) {
    workgroupBarrier();
    for (var m = 0u; m < TM; m++) {
      subgroupMatrixStore<row_major>(&staged, (first + m * MM) * SCORES_STRIDE, out[m][n], SCORES_STRIDE);
    }
    workgroupBarrier();
    for (var i = 0u; i < MN / 4u; i++) {
      let d = n * MN + i * 4u;
      if (query < shape.queries && d < HEAD) {
        y[(base + head * HEAD + d) / 4u] = vec4<result>(bitcast<vec4f>(staged[place + i]) / sum);
      }
    }
  }
  if (head == shape.heads - 1u && query < shape.queries) {
    // The row's padding, which the next linear map multiplies with zero weights, must be finite.
    for (var d = shape.heads * HEAD; d < shape.y_stride; d += 4u) {
      y[(base + d) / 4u] = vec4<result>();
    }
  }
}
