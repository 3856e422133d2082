//#include parts/formats.wgsl
//#include parts/codes.wgsl

// Weights, stored as WEIGHTS says, are read eight at a time, 16 bytes or less; `at` counts eights from the beginning of
// W. What is loaded need not have arrived before it is widened, to f32.
struct Stored {
  words: vec4u,
  more: vec4u, // of f32
  scales: u32,
}

struct Eight {
  low: vec4f,
  high: vec4f,
}

fn load(at: u32) -> Stored {
  if (WEIGHTS == F16) {
    return Stored(weight[at], vec4(0u), 0u);
  }
  if (WEIGHTS == Q8) {
    return Stored(weight[at / 2u], vec4(0u), scales[at / 8u]);
  }
  if (WEIGHTS == Q4) {
    return Stored(vec4(weight[at / 4u][at % 4u]), vec4(0u), scales[at / 8u]);
  }
  return Stored(weight[at * 2u], weight[at * 2u + 1u], 0u);
}

fn widen(stored: Stored, at: u32) -> Eight {
  let words = stored.words;
  if (WEIGHTS == F32) {
    return Eight(bitcast<vec4f>(words), bitcast<vec4f>(stored.more));
  }
  if (WEIGHTS == F16) {
    return Eight(
      vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
      vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
    );
  }
  let scale = scale_at(stored.scales, at);
  if (WEIGHTS == Q8) {
    let bytes = select(words.xy, words.zw, at % 2u == 1u);
    return Eight(scale * signed_bytes(bytes.x), scale * signed_bytes(bytes.y));
  }
  return Eight(scale * nibbles(words.x), scale * nibbles(words.x >> 16u));
}

// Loaded and widened at once.
fn eight(at: u32) -> Eight {
  return widen(load(at), at);
}
