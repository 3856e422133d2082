// As many multiply-adds as the device can do, on registers alone: every thread adds up CHAINS independent vec4s.
// Both factors come from memory, so that nothing can be computed beforehand, and every sum is exact in half precision: it
// proves how many multiply-adds were done.

alias number = f32;
const CHAINS = 8u; // 2, 4 or 8
const STEPS = 512u;
const FUSED = true; // fma(), or * and +
const THREADS = 256u;

@group(0) @binding(0) var<storage, read> factors: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;

fn step(sum: vec4<number>, a: number, b: number) -> vec4<number> {
  if (FUSED) {
    return fma(vec4(a), vec4(b), sum);
  }
  return vec4(a) * vec4(b) + sum;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let a = number(factors[0]);
  let b = number(factors[1]);
  let first = vec4<number>(vec4(f32(thread % 64u), f32(group.x % 16u), 1.0, 2.0) * factors[1]);
  var s0 = first;
  var s1 = first + vec4(b);
  var s2 = first + vec4(b * 2);
  var s3 = first + vec4(b * 3);
  var s4 = first + vec4(b * 4);
  var s5 = first + vec4(b * 5);
  var s6 = first + vec4(b * 6);
  var s7 = first + vec4(b * 7);
  for (var i = 0u; i < STEPS; i++) {
    s0 = step(s0, a, b);
    s1 = step(s1, a, b);
    if (CHAINS > 2u) {
      s2 = step(s2, a, b);
      s3 = step(s3, a, b);
    }
    if (CHAINS > 4u) {
      s4 = step(s4, a, b);
      s5 = step(s5, a, b);
      s6 = step(s6, a, b);
      s7 = step(s7, a, b);
    }
  }
  var total = vec4<f32>(s0) + vec4<f32>(s1);
  if (CHAINS > 2u) {
    total += vec4<f32>(s2) + vec4<f32>(s3);
  }
  if (CHAINS > 4u) {
    total += vec4<f32>(s4) + vec4<f32>(s5) + vec4<f32>(s6) + vec4<f32>(s7);
  }
  sums[group.x * THREADS + thread] = total;
}
