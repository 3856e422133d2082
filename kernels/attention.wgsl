// y = softmax(q kᵀ / sqrt(HEAD)) v for every head of every item, without the matrix of scores ever being in memory
// [Dao et al. 2022, FlashAttention; Milakov and Gimelshein 2018, online softmax].
//
// A workgroup takes QUERIES rows of q of one head and walks over the keys KEYS at a time. LANES threads share four
// rows: each makes their scores for every LANES-th key, then owns every LANES-th vec4 of their output, so that whatever
// is read from workgroup memory is used four times or more. The greatest score seen so far is kept beside the sums;
// when it grows, what has been summed is scaled down.

alias act = f32; // q, k and v as stored
alias result = f32; // y as stored

const HEAD = 72u; // features of a head
const QUERIES = 16u;
const KEYS = 16u;
const LANES = 8u;

const BLOCKS = QUERIES / 4u; // of four rows
const THREADS = BLOCKS * LANES;
const HEAD4 = (HEAD + 3u) / 4u; // a head in vec4s, the last filled up with zeros
const STRIDE = HEAD4 | 1u; // odd: rows then begin in different banks
const OWN_KEYS = (KEYS + LANES - 1u) / LANES;
const OWN_VEC4S = (HEAD4 + LANES - 1u) / LANES;
const KV_TILE = QUERIES * STRIDE;

const Q = 0u;
const K = 1u;
const V = 2u;

//#include parts/attention.wgsl
@group(0) @binding(1) var<storage, read> q: array<act>;
@group(0) @binding(2) var<storage, read> k: array<act>;
@group(0) @binding(3) var<storage, read> v: array<act>;
@group(0) @binding(5) var<storage, read_write> y: array<result>;

var<workgroup> tile: array<vec4f, KV_TILE + KEYS * STRIDE>; // rows of q, behind them those of k or v
var<workgroup> weights: array<vec4f, KEYS * BLOCKS>; // of a key for four rows
var<workgroup> shares: array<vec4f, LANES * BLOCKS>; // of a lane for four rows: its greatest score, its sum

fn load(which: u32, at: u32) -> vec4f {
  if (which == Q) {
    return vec4(f32(q[at]), f32(q[at + 1u]), f32(q[at + 2u]), f32(q[at + 3u])) * shape.scale;
  }
  if (which == K) {
    return vec4(f32(k[at]), f32(k[at + 1u]), f32(k[at + 2u]), f32(k[at + 3u]));
  }
  return vec4(f32(v[at]), f32(v[at + 1u]), f32(v[at + 2u]), f32(v[at + 3u]));
}

// `count` rows from `first` on to `slot`, of `rows` that are `stride` apart, the head's features from `base` on. Zeros
// stand where there is no row, and behind the head's end.
fn stage(which: u32, slot: u32, count: u32, first: u32, rows: u32, stride: u32, base: u32, thread: u32) {
  for (var i = thread; i < count * HEAD4; i += THREADS) {
    let row = first + i / HEAD4;
    let d = i % HEAD4 * 4u;
    let end = select(0u, HEAD, row < rows);
    let values = load(which, base + min(row, rows - 1u) * stride + d);
    tile[slot + i / HEAD4 * STRIDE + i % HEAD4] = select(vec4(0.0), values, vec4(d) + vec4(0u, 1u, 2u, 3u) < vec4(end));
  }
}

fn dot_add(a: vec4f, b: vec4f, c: f32) -> f32 {
  return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, c))));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_query = group.x * QUERIES;
  let head = shape.first_head + group.y;
  let item = group.z;
  let keys = select(shape.keys, u32(lengths[item]), LENGTHS);
  let block = thread / LANES;
  let lane = thread % LANES;

  let q_base = item * shape.q_item * shape.q_stride + shape.q_offset + head * HEAD;
  let k_base = item * shape.keys * shape.k_stride + shape.k_offset + head * HEAD;
  let v_base = item * shape.keys * shape.v_stride + shape.v_offset + head * HEAD;

  stage(Q, 0u, QUERIES, first_query, shape.queries, shape.q_stride, q_base, thread);
  var top = vec4(FAR_BELOW);
  var sum = vec4(0.0);
  var out: array<vec4f, OWN_VEC4S * 4u>;

  for (var first_key = 0u; first_key < keys; first_key += KEYS) {
    workgroupBarrier();
    stage(K, KV_TILE, KEYS, first_key, keys, shape.k_stride, k_base, thread);
    workgroupBarrier();

    var scores = array<vec4f, OWN_KEYS>();
    for (var d = 0u; d < HEAD4; d++) {
      let at = block * 4u * STRIDE + d;
      let q0 = tile[at];
      let q1 = tile[at + STRIDE];
      let q2 = tile[at + 2u * STRIDE];
      let q3 = tile[at + 3u * STRIDE];
      for (var t = 0u; t < OWN_KEYS; t++) {
        let b = tile[KV_TILE + min(lane + t * LANES, KEYS - 1u) * STRIDE + d];
        let s = scores[t];
        scores[t] = vec4(dot_add(q0, b, s.x), dot_add(q1, b, s.y), dot_add(q2, b, s.z), dot_add(q3, b, s.w));
      }
    }
    var next = top;
    for (var t = 0u; t < OWN_KEYS; t++) {
      let j = lane + t * LANES;
      scores[t] = select(vec4(FAR_BELOW), scores[t], j < KEYS && first_key + j < keys);
      next = max(next, scores[t]);
    }
    shares[lane * BLOCKS + block] = next;
    workgroupBarrier();

    stage(V, KV_TILE, KEYS, first_key, keys, shape.v_stride, v_base, thread);
    for (var l = 0u; l < LANES; l++) {
      next = max(next, shares[l * BLOCKS + block]);
    }
    let shrink = exp(top - next);
    top = next;
    sum *= shrink;
    for (var o = 0u; o < OWN_VEC4S; o++) {
      out[o * 4u] *= shrink.x;
      out[o * 4u + 1u] *= shrink.y;
      out[o * 4u + 2u] *= shrink.z;
      out[o * 4u + 3u] *= shrink.w;
    }
    for (var t = 0u; t < OWN_KEYS; t++) {
      let p = exp(scores[t] - top);
      sum += p;
      if (lane + t * LANES < KEYS) {
        weights[(lane + t * LANES) * BLOCKS + block] = p;
      }
    }
    workgroupBarrier();

    for (var j = 0u; j < KEYS; j++) {
      let p = weights[j * BLOCKS + block];
      for (var o = 0u; o < OWN_VEC4S; o++) {
        let b = tile[KV_TILE + j * STRIDE + min(lane + o * LANES, HEAD4 - 1u)];
        out[o * 4u] = fma(vec4(p.x), b, out[o * 4u]);
        out[o * 4u + 1u] = fma(vec4(p.y), b, out[o * 4u + 1u]);
        out[o * 4u + 2u] = fma(vec4(p.z), b, out[o * 4u + 2u]);
        out[o * 4u + 3u] = fma(vec4(p.w), b, out[o * 4u + 3u]);
      }
    }
  }

  shares[lane * BLOCKS + block] = sum;
  workgroupBarrier();
  sum = vec4(0.0);
  for (var l = 0u; l < LANES; l++) {
    sum += shares[l * BLOCKS + block];
  }
  for (var r = 0u; r < 4u; r++) {
    let query = first_query + block * 4u + r;
    if (query < shape.queries) {
      let base = (item * shape.queries + query) * shape.y_stride;
      for (var o = 0u; o < OWN_VEC4S; o++) {
        let value = out[o * 4u + r] / sum[r];
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
}
