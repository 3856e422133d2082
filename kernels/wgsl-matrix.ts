// Generated from kernels/*.wgsl by `npm run kernels`; edit those.
export const wgsl = {
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
const QUERIES = SUBGROUPS * SUBGROUP;
const TM = SUBGROUP / MM;
const EIGHTS = (HEAD + 15u) / 16u * 2u;
const TN = EIGHTS * 8u / MN;
const STRIDE = EIGHTS + 1u;
const SCORES_STRIDE = KEYS / 4u + 1u;
const TILE = QUERIES * SCORES_STRIDE;
const SLACK = 8.0;
const LIFT = 2.0;
const FAR_BELOW = -1e30;
alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Sums = subgroup_matrix_result<f32, MN, MM>;
alias Queries = array<array<Left, EIGHTS * 8u / MK>, TM>;
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
var<workgroup> grown: atomic<u32>;
fn halves(v: vec4<act>) -> vec2<u32> {
return bitcast<vec2<u32>>(vec4<f16>(v));
}
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
fn stage_k(item: u32, head: u32, first: u32, thread: u32) {
for (var i = thread; i < KEYS * EIGHTS; i += QUERIES) {
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
for (var i = thread; i < KEYS * EIGHTS; i += QUERIES) {
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
var sums = array<Sums, TM>();
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
@builtin(workgroup_id) group: vec3<u32>,
@builtin(local_invocation_index) thread: u32,
@builtin(subgroup_id) subgroup: u32,
) {
let first_query = group.x * QUERIES;
let head = shape.first_head + group.y;
let item = group.z;
let first = subgroup % SUBGROUPS * SUBGROUP;
let query = first_query + thread;
let place = thread * SCORES_STRIDE;
stage_q(item, head, first_query, thread);
workgroupBarrier();
var rows: Queries;
for (var m = 0u; m < TM; m++) {
for (var d = 0u; d < EIGHTS * 8u / MK; d++) {
rows[m][d] = subgroupMatrixLoad<Left, row_major>(&staged, (first + m * MM) * STRIDE + d * (MK / 8u), STRIDE);
}
}
var top = FAR_BELOW;
var sum = 0.0;
var out: array<array<Sums, TN>, TM>;
for (var first_key = 0u; first_key < shape.keys; first_key += KEYS) {
workgroupBarrier();
stage_k(item, head, first_key, thread);
if (thread == 0u) {
atomicStore(&grown, 0u);
}
workgroupBarrier();
make_scores(&rows, first);
workgroupBarrier();
stage_v(item, head, first_key, thread);
var scores: array<vec4<f32>, KEYS / 4u>;
var tops = vec4(FAR_BELOW);
for (var i = 0u; i < KEYS / 4u; i++) {
let there = vec4(first_key + i * 4u) + vec4(0u, 1u, 2u, 3u) < vec4(shape.keys);
scores[i] = select(vec4(FAR_BELOW), bitcast<vec4<f32>>(staged[place + i]) * shape.scale, there);
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
let column = n % 2u * MN / 4u;
for (var m = 0u; m < TM; m++) {
let at = (first + m * MM) * SCORES_STRIDE + column;
subgroupMatrixStore<row_major>(&staged, at, out[m][n], SCORES_STRIDE);
}
workgroupBarrier();
for (var i = 0u; i < MN / 4u; i++) {
let at = place + column + i;
staged[at] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(staged[at]) * shrink);
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
y[(base + head * HEAD + d) / 4u] = vec4<result>(bitcast<vec4<f32>>(staged[place + i]) / sum);
}
}
}
if (head == shape.heads - 1u && query < shape.queries) {
for (var d = shape.heads * HEAD; d < shape.y_stride; d += 4u) {
y[(base + d) / 4u] = vec4<result>();
}
}
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
fn leave(row_of_sums: ptr<function, array<Sums, TN>>, m: u32, group: vec2<u32>, subgroup: u32, thread: u32) {
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
@compute @workgroup_size(THREADS)
fn main(
@builtin(workgroup_id) workgroup: vec3<u32>,
@builtin(local_invocation_index) thread: u32,
@builtin(subgroup_id) subgroup_id: u32,
) {
let group = vec2(workgroup.x, shape.first_group + workgroup.y);
let first_row = group.y * BM;
let first_column = group.x * BN;
let subgroup = subgroup_id % (SUBGROUPS_M * SUBGROUPS_N);
let first_m = subgroup / SUBGROUPS_N * TM;
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
}`,
} as const;
