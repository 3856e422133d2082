// y = x, sixteen bytes a thread at a time.

const THREADS = 256u;
const EACH = 4u;

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first = group.x * THREADS * EACH + thread;
  for (var i = 0u; i < EACH; i++) {
    y[first + i * THREADS] = x[first + i * THREADS];
  }
}
