enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);

// As many matrix multiply-adds as the device can do, on registers alone: every subgroup adds up four independent blocks,
// f16 in, f32 out. The entries are small whole numbers, so that every sum is exact.

const M = 16u;
const N = 16u;
const K = 16u;
const STEPS = 512u;
const THREADS = 256u;

@group(0) @binding(0) var<storage, read> a: array<f16>; // four of [M, K]
@group(0) @binding(1) var<storage, read> b: array<f16>; // [K, N]
@group(0) @binding(2) var<storage, read_write> sums: array<f32>; // four of [M, N] from every workgroup
@group(0) @binding(3) var<storage, read_write> size: array<u32>; // threads of a subgroup

alias Left = subgroup_matrix_left<f16, K, M>;
alias Right = subgroup_matrix_right<f16, N, K>;
alias Sum = subgroup_matrix_result<f32, N, M>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_size) threads: u32,
) {
  let a0 = subgroupMatrixLoad<Left, row_major>(&a, 0u, K);
  let a1 = subgroupMatrixLoad<Left, row_major>(&a, M * K, K);
  let a2 = subgroupMatrixLoad<Left, row_major>(&a, 2u * M * K, K);
  let a3 = subgroupMatrixLoad<Left, row_major>(&a, 3u * M * K, K);
  let right = subgroupMatrixLoad<Right, row_major>(&b, 0u, N);
  var s0: Sum;
  var s1: Sum;
  var s2: Sum;
  var s3: Sum;
  for (var i = 0u; i < STEPS; i++) {
    s0 = subgroupMatrixMultiplyAccumulate(a0, right, s0);
    s1 = subgroupMatrixMultiplyAccumulate(a1, right, s1);
    s2 = subgroupMatrixMultiplyAccumulate(a2, right, s2);
    s3 = subgroupMatrixMultiplyAccumulate(a3, right, s3);
  }
  // The subgroups of a workgroup write the same values to the same place.
  let first = group.x * 4u * M * N;
  subgroupMatrixStore<row_major>(&sums, first, s0, N);
  subgroupMatrixStore<row_major>(&sums, first + M * N, s1, N);
  subgroupMatrixStore<row_major>(&sums, first + 2u * M * N, s2, N);
  subgroupMatrixStore<row_major>(&sums, first + 3u * M * N, s3, N);
  if (thread == 0u && group.x == 0u) {
    size[0] = threads;
  }
}
