enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);

const SUBGROUP = 32u; // threads of the largest subgroup
const MM = 16u; // shape of the matrix unit
const MN = 16u;
const MK = 16u;

alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Sums = subgroup_matrix_result<f32, MN, MM>;

fn halves(v: vec4<act>) -> vec2u {
  return bitcast<vec2u>(vec4<f16>(v));
}
