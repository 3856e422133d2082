// y = softmax(q kᵀ / sqrt(HEAD)) v for every head of every item, without the matrix of scores ever being in memory
// [Dao et al. 2022, FlashAttention; Milakov and Gimelshein 2018, online softmax].
//
// A workgroup takes QUERIES rows of q of one head and walks over the keys KEYS at a time. LANES threads share a row:
// each makes every LANES-th score, then owns every LANES-th vec4 of the row's output. The maximum seen so far is kept
// beside the sums; when it grows, what has been summed is scaled down.

alias act = f32; // q, k and v as stored
alias result = f32; // y as stored

const HEAD = 72u; // features of a head
const QUERIES = 32u;
const KEYS = 16u;
const LANES = 4u;

const THREADS = QUERIES * LANES;
const HEAD4 = (HEAD + 3u) / 4u; // a head in vec4s, the last filled up with zeros
const OWNED = (HEAD4 + LANES - 1u) / LANES;
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
@group(0) @binding(1) var<storage, read> q: array<act>;
@group(0) @binding(2) var<storage, read> k: array<act>;
@group(0) @binding(3) var<storage, read> v: array<act>;
@group(0) @binding(4) var<storage, read_write> y: array<result>;

var<workgroup> q_tile: array<vec4<f32>, QUERIES * HEAD4>;
var<workgroup> kv_tile: array<vec4<f32>, KEYS * HEAD4>;
var<workgroup> scores: array<f32, QUERIES * KEYS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first_query = group.x * QUERIES;
  let head = shape.first_head + group.y;
  let item = group.z;
  let row = thread / LANES;
  let lane = thread % LANES;

  for (var i = thread; i < QUERIES * HEAD4 * 4u; i += THREADS) {
    let query = first_query + i / (HEAD4 * 4u);
    let d = i % (HEAD4 * 4u);
    var value = 0.0;
    if (query < shape.queries && d < HEAD) {
      value = f32(q[(item * shape.q_item + query) * shape.q_stride + shape.q_offset + head * HEAD + d]) * shape.scale;
    }
    q_tile[i / 4u][i % 4u] = value;
  }

  var top = FAR_BELOW;
  var sum = 0.0;
  var out: array<vec4<f32>, OWNED>;

  for (var first_key = 0u; first_key < shape.keys; first_key += KEYS) {
    workgroupBarrier();
    for (var i = thread; i < KEYS * HEAD4 * 4u; i += THREADS) {
      let key = first_key + i / (HEAD4 * 4u);
      let d = i % (HEAD4 * 4u);
      var value = 0.0;
      if (key < shape.keys && d < HEAD) {
        value = f32(k[(item * shape.keys + key) * shape.k_stride + shape.k_offset + head * HEAD + d]);
      }
      kv_tile[i / 4u][i % 4u] = value;
    }
    workgroupBarrier();

    for (var j = lane; j < KEYS; j += LANES) {
      var score = vec4(0.0);
      for (var d = 0u; d < HEAD4; d++) {
        score = fma(q_tile[row * HEAD4 + d], kv_tile[j * HEAD4 + d], score);
      }
      let flat = score.x + score.y + score.z + score.w;
      scores[row * KEYS + j] = select(FAR_BELOW, flat, first_key + j < shape.keys);
    }
    workgroupBarrier();

    for (var i = thread; i < KEYS * HEAD4 * 4u; i += THREADS) {
      let key = first_key + i / (HEAD4 * 4u);
      let d = i % (HEAD4 * 4u);
      var value = 0.0;
      if (key < shape.keys && d < HEAD) {
        value = f32(v[(item * shape.keys + key) * shape.v_stride + shape.v_offset + head * HEAD + d]);
      }
      kv_tile[i / 4u][i % 4u] = value;
    }
    var next = top;
    for (var j = 0u; j < KEYS; j++) {
      next = max(next, scores[row * KEYS + j]);
    }
    let shrink = exp(top - next);
    sum *= shrink;
    for (var o = 0u; o < OWNED; o++) {
      out[o] *= shrink;
    }
    top = next;
    workgroupBarrier();

    for (var j = 0u; j < KEYS; j++) {
      let p = exp(scores[row * KEYS + j] - top);
      sum += p;
      for (var o = 0u; o < OWNED; o++) {
        out[o] = fma(vec4(p), kv_tile[j * HEAD4 + min(lane + o * LANES, HEAD4 - 1u)], out[o]);
      }
    }
  }

  let query = first_query + row;
  if (query < shape.queries) {
    let base = (item * shape.queries + query) * shape.y_stride;
    for (var o = 0u; o < OWNED; o++) {
      let value = out[o] / sum;
      for (var c = 0u; c < 4u; c++) {
        let d = (lane + o * LANES) * 4u + c;
        if (d < HEAD) {
          y[base + head * HEAD + d] = result(value[c]);
        }
      }
    }
    if (head == shape.heads - 1u) {
      // The row's padding, which the next linear map multiplies with zero weights, must be finite.
      for (var column = shape.heads * HEAD + lane; column < shape.y_stride; column += LANES) {
        y[base + column] = result(0.0);
      }
    }
  }
}
