// How weights are stored.
const F32 = 0u;
const F16 = 1u; // in pairs: core WGSL unpacks them, shader-f16 is not needed
const Q8 = 2u; // signed bytes
const Q4 = 3u; // nibbles, 8 more than the weight
