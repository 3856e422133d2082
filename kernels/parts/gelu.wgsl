// The tanh form. Some drivers return NaN for tanh of large arguments; beyond 15 it is 1 in f32.
fn gelu(v: vec4f) -> vec4f {
  let inner = 0.7978845608028654 * (v + 0.044715 * v * v * v);
  return 0.5 * v * (1.0 + tanh(clamp(inner, vec4(-15.0), vec4(15.0))));
}
