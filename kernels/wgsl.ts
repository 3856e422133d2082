// Generated from kernels/*.wgsl by `npm run kernels`; edit those.
export const wgsl = {
  attention: `alias act = f32;
alias result = f32;
const HEAD = 72u;
const QUERIES = 32u;
const KEYS = 16u;
const LANES = 4u;
const THREADS = QUERIES * LANES;
const HEAD4 = (HEAD + 3u) / 4u;
const OWNED = (HEAD4 + LANES - 1u) / LANES;
const FAR_BELOW = -1e30;
struct Shape {
queries: u32,
keys: u32,
heads: u32,
q_item: u32,
q_stride: u32,
q_offset: u32,
k_stride: u32,
k_offset: u32,
v_stride: u32,
v_offset: u32,
y_stride: u32,
scale: f32,
first_head: u32,
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
for (var column = shape.heads * HEAD + lane; column < shape.y_stride; column += LANES) {
y[base + column] = result(0.0);
}
}
}
}`,
  attention_matrix: `enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
alias act = f16;
alias result = f16;
const HEAD = 72u;
const KEYS = 32u;
const SUBGROUPS = 4u;
const SUBGROUP = 32u;
const MM = 16u;
const MN = 16u;
const MK = 16u;
const THREADS = SUBGROUPS * SUBGROUP;
const QUERIES = SUBGROUPS * MM;
const LANES = SUBGROUP / MM;
const OWN4 = KEYS / LANES / 4u;
const EIGHTS = (HEAD + 15u) / 16u * 2u;
const STRIDE = EIGHTS + 1u;
const SCORES_STRIDE = KEYS / 4u + 1u;
const TILE = QUERIES * SCORES_STRIDE;
const FAR_BELOW = -1e30;
alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Sums = subgroup_matrix_result<f32, MN, MM>;
alias Queries = array<Left, EIGHTS * 8u / MK>;
struct Shape {
queries: u32,
keys: u32,
heads: u32,
q_item: u32,
q_stride: u32,
q_offset: u32,
k_stride: u32,
k_offset: u32,
v_stride: u32,
v_offset: u32,
y_stride: u32,
scale: f32,
first_head: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> q: array<vec4<act>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<act>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<act>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<result>>;
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
fn make_scores(rows: ptr<function, Queries>, first: u32) {
for (var n = 0u; n < KEYS / MN; n++) {
var sums = Sums();
for (var d = 0u; d < EIGHTS * 8u / MK; d++) {
let b = subgroupMatrixLoad<Right, col_major>(&staged, TILE + n * MN * STRIDE + d * (MK / 8u), STRIDE);
sums = subgroupMatrixMultiplyAccumulate(rows[d], b, sums);
}
subgroupMatrixStore<row_major>(&staged, first * SCORES_STRIDE + n * MN / 4u, sums, SCORES_STRIDE);
}
}
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
let first = subgroup % SUBGROUPS * MM;
let row = thread / LANES;
let own = thread % LANES * OWN4;
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
let base = (item * shape.queries + first_query + row) * shape.y_stride;
for (var d = shape.heads * HEAD + thread % LANES * 4u; d < shape.y_stride; d += LANES * 4u) {
y[(base + d) / 4u] = vec4<result>();
}
}
}`,
  convert: `const F32 = 0u;
const F16 = 1u;
const Q8 = 2u;
const Q4 = 3u;
const BF16 = 4u;
const SOURCE = F32;
const WEIGHTS = F16;
const THREADS = 64u;
const GROUP = 32u;
struct Shape {
width: u32,
groups: u32,
first: u32,
end: u32,
flag: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> weight: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;
@group(0) @binding(4) var<storage, read_write> flags: array<atomic<u32>>;
alias Group = array<f32, GROUP>;
fn widened(half: u32) -> u32 {
let sign = (half & 0x8000u) << 16u;
let magnitude = half & 0x7fffu;
if (magnitude < 0x400u) {
return sign | bitcast<u32>(f32(magnitude) * 0x1p-24);
}
return sign | ((magnitude << 13u) + select(0x38000000u, 0x70000000u, magnitude >= 0x7c00u));
}
fn halved(float: u32) -> u32 {
let sign = (float >> 16u) & 0x8000u;
let magnitude = float & 0x7fffffffu;
if (magnitude >= 0x477ff000u) {
return sign | 0x7c00u;
}
if (magnitude >= 0x38800000u) {
return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
}
let shift = 126u - (magnitude >> 23u);
if (shift > 24u) {
return sign;
}
let digits = (magnitude & 0x7fffffu) | 0x800000u;
return sign | ((digits + (1u << (shift - 1u)) - 1u + ((digits >> shift) & 1u)) >> shift);
}
fn scale_of(value: f32) -> u32 {
return halved(bitcast<u32>(clamp(value, -65504.0, 65504.0)));
}
fn float_of(half: u32) -> f32 {
return bitcast<f32>(widened(half));
}
fn element(i: u32) -> u32 {
if (SOURCE == F32) {
return source[i];
}
let half = (source[i / 2u] >> (i % 2u * 16u)) & 0xffffu;
if (SOURCE == BF16) {
return half << 16u;
}
return widened(half);
}
fn nearest(value: f32, low: f32, high: f32) -> f32 {
return clamp(floor(value + 0.5), low, high);
}
fn best_scale(values: ptr<function, Group>, top: f32) -> u32 {
var best = 0u;
var least = 3e38;
for (var start = 0u; start < 2u; start++) {
var half = scale_of(top / -8.0 * select(0.95, 0.8, start == 0u));
for (var round = 0u; round < 2u && (half & 0x7fffu) != 0u; round++) {
let scale = float_of(half);
let inverse = 1.0 / scale;
var error = 0.0;
var products = 0.0;
var squares = 0.0;
for (var i = 0u; i < GROUP; i++) {
let value = clamp((*values)[i], -1e9, 1e9);
let code = nearest(value * inverse, -8.0, 7.0);
let difference = value - code * scale;
error = fma(difference, difference, error);
products = fma(code, value, products);
squares = fma(code, code, squares);
}
if (error < least) {
best = half;
least = error;
}
half = scale_of(products / squares);
}
}
return best;
}
@compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
let pair = shape.first / 2u + thread.x;
let first = max(pair * 2u, shape.first);
let end = min(pair * 2u + 2u, shape.end);
for (var group = first; group < end; group++) {
let column = group % shape.groups * GROUP;
let at = (group / shape.groups - shape.first / shape.groups) * shape.width + column;
var values: Group;
var top = 0.0;
for (var i = 0u; i < GROUP; i++) {
var bits = 0u;
if (column + i < shape.width) {
bits = element(at + i);
}
if ((bits & 0x7f800000u) == 0x7f800000u) {
atomicStore(&flags[shape.flag], 1u);
bits = 0u;
}
values[i] = bitcast<f32>(bits);
if (abs(values[i]) > abs(top)) {
top = values[i];
}
}
if (WEIGHTS == F32) {
for (var i = 0u; i < GROUP; i++) {
weight[group * GROUP + i] = bitcast<u32>(values[i]);
}
continue;
}
if (WEIGHTS == F16) {
for (var i = 0u; i < GROUP; i += 2u) {
let low = halved(bitcast<u32>(values[i]));
weight[(group * GROUP + i) / 2u] = low | (halved(bitcast<u32>(values[i + 1u])) << 16u);
}
continue;
}
var half = 0u;
if (WEIGHTS == Q8) {
half = scale_of(abs(top) / 127.0);
} else {
half = best_scale(&values, top);
}
let inverse = 1.0 / select(float_of(half), 1e30, (half & 0x7fffu) == 0u);
let shift = group % 2u * 16u;
scales[group / 2u] = (scales[group / 2u] & (0xffff0000u >> shift)) | (half << shift);
if (WEIGHTS == Q8) {
for (var i = 0u; i < GROUP; i += 4u) {
var word = 0u;
for (var j = 0u; j < 4u; j++) {
let code = i32(nearest(values[i + j] * inverse, -127.0, 127.0));
word |= (bitcast<u32>(code) & 0xffu) << (j * 8u);
}
weight[(group * GROUP + i) / 4u] = word;
}
} else {
for (var i = 0u; i < GROUP; i += 8u) {
var word = 0u;
for (var j = 0u; j < 8u; j++) {
let code = i32(nearest(values[i + j] * inverse, -8.0, 7.0)) + 8;
word |= u32(code) << (j * 4u);
}
weight[(group * GROUP + i) / 8u] = word;
}
}
}
}`,
  layer_norm: `alias act = f32;
alias result = f32;
const THREADS = 64u;
struct Shape {
rows: u32,
width: u32,
stride: u32,
eps: f32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<act>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<result>;
var<workgroup> partial: array<f32, THREADS>;
fn total(value: f32, thread: u32) -> f32 {
workgroupBarrier();
partial[thread] = value;
for (var half = THREADS / 2u; half > 0u; half /= 2u) {
workgroupBarrier();
if (thread < half) {
partial[thread] += partial[thread + half];
}
}
return workgroupUniformLoad(&partial[0]);
}
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
let first = row * shape.stride;
var sum = 0.0;
for (var d = thread; d < shape.width; d += THREADS) {
sum += f32(x[first + d]);
}
let mean = total(sum, thread) / f32(shape.width);
var squares = 0.0;
for (var d = thread; d < shape.width; d += THREADS) {
let difference = f32(x[first + d]) - mean;
squares += difference * difference;
}
let scale = inverseSqrt(total(squares, thread) / f32(shape.width) + shape.eps);
for (var d = thread; d < shape.stride; d += THREADS) {
let value = (f32(x[first + d]) - mean) * scale * weight[d] + bias[d];
y[first + d] = result(select(0.0, value, d < shape.width));
}
}`,
  linear: `alias act = f32;
alias result = f32;
alias operand = f32;
const F32 = 0u;
const F16 = 1u;
const Q8 = 2u;
const Q4 = 3u;
const WEIGHTS = F32;
const BM = 64u;
const BN = 64u;
const BK = 16u;
const TM = 4u;
const TN = 4u;
const CHUNK = 0u;
const GELU = false;
const ADD = false;
const THREADS_N = BN / TN;
const THREADS = BM / TM * THREADS_N;
const X_STRIDE = BM / 4u + 1u;
const W_STRIDE = BN / 4u + 1u;
struct Shape {
rows: u32,
depth: u32,
columns: u32,
addend_rows: u32,
first_group: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4<act>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> addend: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<result>>;
var<workgroup> x_panel: array<vec4<operand>, BK * X_STRIDE>;
var<workgroup> w_panel: array<vec4<operand>, BK * W_STRIDE>;
struct Eight {
low: vec4<f32>,
high: vec4<f32>,
}
fn scale(at: u32) -> f32 {
let pair = unpack2x16float(scales[at / 8u]);
return select(pair.x, pair.y, at / 4u % 2u == 1u);
}
fn signed_bytes(word: u32) -> vec4<f32> {
return vec4<f32>((vec4(bitcast<i32>(word)) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}
fn eight(at: u32) -> Eight {
if (WEIGHTS == F16) {
let words = weight[at];
return Eight(
vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
);
}
if (WEIGHTS == Q8) {
let words = weight[at / 2u];
let pair = select(words.xy, words.zw, at % 2u == 1u);
return Eight(scale(at) * signed_bytes(pair.x), scale(at) * signed_bytes(pair.y));
}
if (WEIGHTS == Q4) {
let word = weight[at / 4u][at % 4u];
let low = vec4<f32>((vec4(word) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u));
let high = vec4<f32>((vec4(word) >> vec4(16u, 20u, 24u, 28u)) & vec4(15u));
return Eight(scale(at) * (low - 8.0), scale(at) * (high - 8.0));
}
return Eight(bitcast<vec4<f32>>(weight[at * 2u]), bitcast<vec4<f32>>(weight[at * 2u + 1u]));
}
fn stage_x(first_row: u32, first_k: u32, thread: u32) {
for (var i = thread; i < BM * BK / 4u; i += THREADS) {
let row = i / (BK / 4u);
let k = i % (BK / 4u) * 4u;
let source = min(first_row + row, shape.rows - 1u);
let value = vec4<operand>(x[(source * shape.depth + first_k + k) / 4u]);
let slot = k * X_STRIDE + row / 4u;
let lane = row % 4u;
x_panel[slot][lane] = value.x;
x_panel[slot + X_STRIDE][lane] = value.y;
x_panel[slot + 2u * X_STRIDE][lane] = value.z;
x_panel[slot + 3u * X_STRIDE][lane] = value.w;
}
}
fn put_w(k: u32, column: u32, value: vec4<operand>) {
let slot = k * W_STRIDE + column / 4u;
let lane = column % 4u;
w_panel[slot][lane] = value.x;
w_panel[slot + W_STRIDE][lane] = value.y;
w_panel[slot + 2u * W_STRIDE][lane] = value.z;
w_panel[slot + 3u * W_STRIDE][lane] = value.w;
}
fn stage_w(first_column: u32, first_k: u32, thread: u32) {
for (var i = thread; i < BN * BK / 8u; i += THREADS) {
let column = i / (BK / 8u);
let k = i % (BK / 8u) * 8u;
let source = min(first_column + column, shape.columns - 1u);
let values = eight((source * shape.depth + first_k + k) / 8u);
put_w(k, column, vec4<operand>(values.low));
put_w(k + 4u, column, vec4<operand>(values.high));
}
}
fn gelu(v: vec4<f32>) -> vec4<f32> {
let inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
return 0.5 * v * (1.0 + tanh(clamp(inner, vec4(-15.0), vec4(15.0))));
}
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
let first_row = (shape.first_group + group.y) * BM;
let first_column = group.x * BN;
let thread_m = thread / THREADS_N;
let thread_n = thread % THREADS_N;
var sums: array<vec4<f32>, TM * TN / 4u>;
for (var first_k = 0u; first_k < shape.depth; first_k += BK) {
workgroupBarrier();
stage_x(first_row, first_k, thread);
stage_w(first_column, first_k, thread);
workgroupBarrier();
if (CHUNK == 0u) {
for (var k = 0u; k < BK; k++) {
for (var m = 0u; m < TM / 4u; m++) {
let a = vec4<f32>(x_panel[k * X_STRIDE + thread_m * (TM / 4u) + m]);
for (var n = 0u; n < TN / 4u; n++) {
let b = vec4<f32>(w_panel[k * W_STRIDE + thread_n + n * THREADS_N]);
let at = m * TN + n;
sums[at] = fma(vec4(a.x), b, sums[at]);
sums[at + TN / 4u] = fma(vec4(a.y), b, sums[at + TN / 4u]);
sums[at + TN / 2u] = fma(vec4(a.z), b, sums[at + TN / 2u]);
sums[at + TN / 4u * 3u] = fma(vec4(a.w), b, sums[at + TN / 4u * 3u]);
}
}
}
} else {
for (var chunk = 0u; chunk < BK; chunk += max(CHUNK, 1u)) {
var part = array<vec4<operand>, TM * TN / 4u>();
for (var k = chunk; k < chunk + CHUNK; k++) {
for (var m = 0u; m < TM / 4u; m++) {
let a = x_panel[k * X_STRIDE + thread_m * (TM / 4u) + m];
for (var n = 0u; n < TN / 4u; n++) {
let b = w_panel[k * W_STRIDE + thread_n + n * THREADS_N];
let at = m * TN + n;
part[at] = fma(vec4(a.x), b, part[at]);
part[at + TN / 4u] = fma(vec4(a.y), b, part[at + TN / 4u]);
part[at + TN / 2u] = fma(vec4(a.z), b, part[at + TN / 2u]);
part[at + TN / 4u * 3u] = fma(vec4(a.w), b, part[at + TN / 4u * 3u]);
}
}
}
for (var at = 0u; at < TM * TN / 4u; at++) {
sums[at] += vec4<f32>(part[at]);
}
}
}
}
for (var m = 0u; m < TM; m++) {
let row = first_row + thread_m * TM + m;
for (var n = 0u; n < TN / 4u; n++) {
let column = first_column / 4u + thread_n + n * THREADS_N;
if (row < shape.rows && column < shape.columns / 4u) {
var value = sums[m * (TN / 4u) + n] + bias[column];
if (GELU) {
value = gelu(value);
}
if (ADD) {
value += addend[row % shape.addend_rows * (shape.columns / 4u) + column];
}
y[row * (shape.columns / 4u) + column] = vec4<result>(value);
}
}
}
}`,
  linear_direct: `alias act = f32;
alias result = f32;
const F32 = 0u;
const F16 = 1u;
const Q8 = 2u;
const Q4 = 3u;
const WEIGHTS = F32;
const THREADS_M = 4u;
const THREADS_N = 8u;
const GELU = false;
const ADD = false;
struct Shape {
rows: u32,
depth: u32,
columns: u32,
addend_rows: u32,
first_group: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4<act>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> addend: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<result>>;
struct Eight {
low: vec4<f32>,
high: vec4<f32>,
}
fn scale(at: u32) -> f32 {
let pair = unpack2x16float(scales[at / 8u]);
return select(pair.x, pair.y, at / 4u % 2u == 1u);
}
fn signed_bytes(word: u32) -> vec4<f32> {
return vec4<f32>((vec4(bitcast<i32>(word)) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}
fn eight(at: u32) -> Eight {
if (WEIGHTS == F16) {
let words = weight[at];
return Eight(
vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
);
}
if (WEIGHTS == Q8) {
let words = weight[at / 2u];
let pair = select(words.xy, words.zw, at % 2u == 1u);
return Eight(scale(at) * signed_bytes(pair.x), scale(at) * signed_bytes(pair.y));
}
if (WEIGHTS == Q4) {
let word = weight[at / 4u][at % 4u];
let low = vec4<f32>((vec4(word) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u));
let high = vec4<f32>((vec4(word) >> vec4(16u, 20u, 24u, 28u)) & vec4(15u));
return Eight(scale(at) * (low - 8.0), scale(at) * (high - 8.0));
}
return Eight(bitcast<vec4<f32>>(weight[at * 2u]), bitcast<vec4<f32>>(weight[at * 2u + 1u]));
}
fn gelu(v: vec4<f32>) -> vec4<f32> {
let inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
return 0.5 * v * (1.0 + tanh(clamp(inner, vec4(-15.0), vec4(15.0))));
}
fn finish(row: u32, column: u32, value: vec4<f32>) {
if (row >= shape.rows) {
return;
}
var out = value + bias[column];
if (GELU) {
out = gelu(out);
}
if (ADD) {
out += addend[row % shape.addend_rows * (shape.columns / 4u) + column];
}
y[row * (shape.columns / 4u) + column] = vec4<result>(out);
}
fn total(v: vec4<f32>) -> f32 {
return v.x + v.y + v.z + v.w;
}
@compute @workgroup_size(THREADS_N, THREADS_M)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
let row = (shape.first_group * THREADS_M + thread.y) * 4u;
let column = thread.x;
if (row >= shape.rows || column >= shape.columns / 4u) {
return;
}
let depth4 = shape.depth / 4u;
let last = shape.rows - 1u;
let x0 = row * depth4;
let x1 = min(row + 1u, last) * depth4;
let x2 = min(row + 2u, last) * depth4;
let x3 = min(row + 3u, last) * depth4;
let w0 = column * 4u * depth4;
var s00 = vec4(0.0);
var s01 = vec4(0.0);
var s02 = vec4(0.0);
var s03 = vec4(0.0);
var s10 = vec4(0.0);
var s11 = vec4(0.0);
var s12 = vec4(0.0);
var s13 = vec4(0.0);
var s20 = vec4(0.0);
var s21 = vec4(0.0);
var s22 = vec4(0.0);
var s23 = vec4(0.0);
var s30 = vec4(0.0);
var s31 = vec4(0.0);
var s32 = vec4(0.0);
var s33 = vec4(0.0);
for (var k = 0u; k < depth4; k += 2u) {
let b0 = eight((w0 + k) / 2u);
let b1 = eight((w0 + depth4 + k) / 2u);
let b2 = eight((w0 + 2u * depth4 + k) / 2u);
let b3 = eight((w0 + 3u * depth4 + k) / 2u);
let low0 = vec4<f32>(x[x0 + k]);
let low1 = vec4<f32>(x[x1 + k]);
let low2 = vec4<f32>(x[x2 + k]);
let low3 = vec4<f32>(x[x3 + k]);
s00 = fma(low0, b0.low, s00);
s01 = fma(low0, b1.low, s01);
s02 = fma(low0, b2.low, s02);
s03 = fma(low0, b3.low, s03);
s10 = fma(low1, b0.low, s10);
s11 = fma(low1, b1.low, s11);
s12 = fma(low1, b2.low, s12);
s13 = fma(low1, b3.low, s13);
s20 = fma(low2, b0.low, s20);
s21 = fma(low2, b1.low, s21);
s22 = fma(low2, b2.low, s22);
s23 = fma(low2, b3.low, s23);
s30 = fma(low3, b0.low, s30);
s31 = fma(low3, b1.low, s31);
s32 = fma(low3, b2.low, s32);
s33 = fma(low3, b3.low, s33);
let high0 = vec4<f32>(x[x0 + k + 1u]);
let high1 = vec4<f32>(x[x1 + k + 1u]);
let high2 = vec4<f32>(x[x2 + k + 1u]);
let high3 = vec4<f32>(x[x3 + k + 1u]);
s00 = fma(high0, b0.high, s00);
s01 = fma(high0, b1.high, s01);
s02 = fma(high0, b2.high, s02);
s03 = fma(high0, b3.high, s03);
s10 = fma(high1, b0.high, s10);
s11 = fma(high1, b1.high, s11);
s12 = fma(high1, b2.high, s12);
s13 = fma(high1, b3.high, s13);
s20 = fma(high2, b0.high, s20);
s21 = fma(high2, b1.high, s21);
s22 = fma(high2, b2.high, s22);
s23 = fma(high2, b3.high, s23);
s30 = fma(high3, b0.high, s30);
s31 = fma(high3, b1.high, s31);
s32 = fma(high3, b2.high, s32);
s33 = fma(high3, b3.high, s33);
}
finish(row, column, vec4(total(s00), total(s01), total(s02), total(s03)));
finish(row + 1u, column, vec4(total(s10), total(s11), total(s12), total(s13)));
finish(row + 2u, column, vec4(total(s20), total(s21), total(s22), total(s23)));
finish(row + 3u, column, vec4(total(s30), total(s31), total(s32), total(s33)));
}`,
  linear_matrix: `enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
alias act = f16;
alias result = f16;
const F32 = 0u;
const F16 = 1u;
const Q8 = 2u;
const Q4 = 3u;
const WEIGHTS = F16;
const BM = 64u;
const BN = 64u;
const BK = 32u;
const BUFFERS = 1u;
const SUBGROUPS_M = 2u;
const SUBGROUPS_N = 2u;
const SUBGROUP = 32u;
const MM = 16u;
const MN = 16u;
const MK = 16u;
const GELU = false;
const ADD = false;
const THREADS = SUBGROUPS_M * SUBGROUPS_N * SUBGROUP;
const TM = BM / SUBGROUPS_M / MM;
const TN = BN / SUBGROUPS_N / MN;
const STRIDE = BK / 8u + 1u;
const PANELS = (BM + BN) * STRIDE;
const STRIP = SUBGROUPS_M * MM;
const STRIP_STRIDE = BN / 4u + 2u;
const X_EIGHTS = BM * BK / 8u / THREADS;
const W_EIGHTS = BN * BK / 8u / THREADS;
const W_PARTS = select(1u, 2u, WEIGHTS == F32);
alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Sums = subgroup_matrix_result<f32, MN, MM>;
alias XEights = array<vec4<act>, X_EIGHTS * 2u>;
alias WEights = array<vec4<u32>, W_EIGHTS * W_PARTS>;
struct Shape {
rows: u32,
depth: u32,
columns: u32,
addend_rows: u32,
first_group: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4<act>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> addend: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<result>>;
var<workgroup> staged: array<vec4<u32>, max(BUFFERS * PANELS, STRIP * STRIP_STRIDE)>;
fn halves(v: vec4<act>) -> vec2<u32> {
return bitcast<vec2<u32>>(vec4<f16>(v));
}
fn eight(low: vec4<f32>, high: vec4<f32>) -> vec4<u32> {
return vec4(pack2x16float(low.xy), pack2x16float(low.zw), pack2x16float(high.xy), pack2x16float(high.zw));
}
fn signed_bytes(word: u32) -> vec4<f32> {
return vec4<f32>((vec4(bitcast<i32>(word)) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}
fn nibbles(word: u32) -> vec4<f32> {
return vec4<f32>((vec4(word) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u)) - 8.0;
}
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
value = eight(bitcast<vec4<f32>>(words), bitcast<vec4<f32>>(next[e * W_PARTS + W_PARTS - 1u]));
} else if (WEIGHTS != F16) {
let at = source(e * THREADS + thread, first_column, shape.columns, first_k);
let pair = unpack2x16float(words.z);
let scale = select(pair.x, pair.y, at / 4u % 2u == 1u);
if (WEIGHTS == Q8) {
value = eight(scale * signed_bytes(words.x), scale * signed_bytes(words.y));
} else {
value = eight(scale * nibbles(words.x), scale * nibbles(words.x >> 16u));
}
}
staged[panel + slot(e * THREADS + thread)] = value;
}
}
fn gelu(v: vec4<f32>) -> vec4<f32> {
let inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
return 0.5 * v * (1.0 + tanh(clamp(inner, vec4(-15.0), vec4(15.0))));
}
@compute @workgroup_size(THREADS)
fn main(
@builtin(workgroup_id) group: vec3<u32>,
@builtin(local_invocation_index) thread: u32,
@builtin(subgroup_id) subgroup: u32,
) {
let first_row = (shape.first_group + group.y) * BM;
let first_column = group.x * BN;
let first_m = subgroup / SUBGROUPS_N % SUBGROUPS_M * TM;
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
for (var m = 0u; m < TM; m++) {
workgroupBarrier();
for (var n = 0u; n < TN; n++) {
let at = first_m / TM * MM * STRIP_STRIDE + (first_n + n) * MN / 4u;
subgroupMatrixStore<row_major>(&staged, at, sums[m][n], STRIP_STRIDE);
}
workgroupBarrier();
for (var i = thread; i < STRIP * BN / 4u; i += THREADS) {
let strip_row = i / (BN / 4u);
let row = first_row + (strip_row / MM * TM + m) * MM + strip_row % MM;
let column = first_column / 4u + i % (BN / 4u);
if (row < shape.rows && column < shape.columns / 4u) {
var value = bitcast<vec4<f32>>(staged[strip_row * STRIP_STRIDE + i % (BN / 4u)]) + bias[column];
if (GELU) {
value = gelu(value);
}
if (ADD) {
value += addend[row % shape.addend_rows * (shape.columns / 4u) + column];
}
y[row * (shape.columns / 4u) + column] = vec4<result>(value);
}
}
}
}`,
  rows: `const THREADS = 64u;
struct Shape {
rows: u32,
stride: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
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
for (var d = thread; d < shape.stride; d += THREADS) {
y[row * shape.stride + d] = x[indices[row] * shape.stride + d];
}
}`,
} as const;
