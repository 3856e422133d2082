fn total(v: vec4f) -> f32 {
  return v.x + v.y + v.z + v.w;
}
