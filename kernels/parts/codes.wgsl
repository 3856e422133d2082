// Codes of quantised weights. Two scales, half precision, share a word; each serves 32 weights.
fn signed_bytes(word: u32) -> vec4f {
  return vec4f((vec4(bitcast<i32>(word)) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}

fn nibbles(word: u32) -> vec4f {
  return vec4f((vec4(word) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u)) - 8.0;
}

// The scale of eight weights, of which `at` counts those before them in W.
fn scale_at(word: u32, at: u32) -> f32 {
  let pair = unpack2x16float(word);
  return select(pair.x, pair.y, at / 4u % 2u == 1u);
}
