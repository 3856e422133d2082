import { expect } from "vitest";
import { wgsl } from "../../../kernels/wgsl-matrix.generated.ts";
import { floatToHalf, halfToFloat } from "../../../src/support/numbers.ts";
import type { StoredDType } from "../../../src/tensor/program.ts";
import { packRows, quantise } from "../../../src/tensor/quantise.ts";
import { GROUP } from "../../../src/tensor/shape.ts";
import { type Constants, specialise } from "../../../src/tensor/webgpu/specialise.ts";
import { onGpu } from "../../harness/cases.ts";
import { compare } from "../../judge/compare.ts";
import * as reference from "../../judge/reference.ts";
import { random } from "../../judge/reference.ts";

type MatrixKernel = "linear_matrix" | "attention_matrix";
type Precision = "f32" | "f16";

/**
 * A kernel for matrix units on devices without: everything but the units themselves (staging, offsets, strides, barriers,
 * softmax, epilogue) is the kernel's own. A left or right matrix becomes the place where it lies; a product reads it there,
 * every thread adding up its share of the elements. Queries, which the kernel keeps in matrices, stay where they are
 * staged. Without shader-f16 the conversion in `halves` goes too.
 */
function emulated(kernel: MatrixKernel, constants: Constants, f16: boolean): string {
  let text: string = wgsl[kernel];
  const replace = (pattern: RegExp, replacement: string) => {
    if (!pattern.test(text)) throw new Error(`${kernel}.wgsl: wanted ${pattern}, found none; mend the emulation.`);
    text = text.replace(pattern, replacement);
  };
  replace(/^(enable|diagnostic).*$/gm, "");
  replace(/^alias Left = subgroup_matrix_left<f16, MK, MM>;$/m, "struct Left { at: u32, stride: u32 }");
  replace(/^alias Right = subgroup_matrix_right<f16, MN, MK>;$/m, "struct Right { at: u32, stride: u32, rows: bool }");
  replace(/^alias Sums = subgroup_matrix_result<f32, MN, MM>;$/m, UNITS);
  if (kernel === "attention_matrix") {
    replace(/staged\[slot\(i\)\]/, "staged[TILE + KEYS * STRIDE + slot(i)]");
    replace(/&staged, (\(first \+ m \* MM\) \* STRIDE)/, "&staged, TILE + KEYS * STRIDE + $1");
    replace(/max\(QUERIES \* STRIDE, TILE \+ KEYS \* STRIDE\)/, "TILE + (KEYS + QUERIES) * STRIDE");
    replace(/subgroupMatrixLoad<Right, row_major>\(&staged, (.*), STRIDE\)/, "Right($1, STRIDE, true)");
    replace(/subgroupMatrixLoad<Sums, row_major>\(&staged, /, "load(");
  }
  replace(/subgroupMatrixLoad<Left, row_major>\(&staged, /g, "Left(");
  replace(/subgroupMatrixLoad<Right, col_major>\(&staged, (.*), STRIDE\)/, "Right($1, STRIDE, false)");
  replace(/subgroupMatrixMultiplyAccumulate\(/g, "multiply_accumulate(");
  replace(/subgroupMatrixStore<row_major>\(&staged, /g, "store(");
  const [, subgroup] = /^@builtin\(subgroup_id\) (\w+): u32,\n/m.exec(text) ?? [];
  replace(/^@builtin\(subgroup_id\) \w+: u32,\n/m, "");
  replace(/^(@compute[^{]*\{\n)/m, `$1let ${subgroup} = thread / SUBGROUP;\nlane_id = thread % SUBGROUP;\n`);
  if (!f16) replace(/bitcast<vec2u>\(vec4<f16>\(v\)\)/, "vec2(pack2x16float(v.xy), pack2x16float(v.zw))");
  return specialise(text, constants);
}

const UNITS = `
alias Sums = array<f32, MM * MN / SUBGROUP>;
var<private> lane_id: u32;

fn half(at: u32) -> f32 {
  let pair = unpack2x16float(staged[at / 8u][at / 2u % 4u]);
  return select(pair.x, pair.y, at % 2u == 1u);
}

fn multiply_accumulate(a: Left, b: Right, c: Sums) -> Sums {
  var sums = c;
  for (var i = 0u; i < MM * MN / SUBGROUP; i++) {
    let row = (i * SUBGROUP + lane_id) / MN;
    let column = (i * SUBGROUP + lane_id) % MN;
    // A bound that compilers do not know keeps them from unrolling all of it.
    for (var k = 0u; k < MK + lane_id / SUBGROUP; k++) {
      let at = select((b.at + column * b.stride) * 8u + k, (b.at + k * b.stride) * 8u + column, b.rows);
      sums[i] += half((a.at + row * a.stride) * 8u + k) * half(at);
    }
  }
  return sums;
}

fn load(at: u32, stride: u32) -> Sums {
  var sums: Sums;
  for (var i = 0u; i < MM * MN / SUBGROUP; i++) {
    let row = (i * SUBGROUP + lane_id) / MN;
    let column = (i * SUBGROUP + lane_id) % MN;
    sums[i] = bitcast<f32>(staged[at + row * stride + column / 4u][column % 4u]);
  }
  return sums;
}

fn store(at: u32, sums: Sums, stride: u32) {
  for (var i = 0u; i < MM * MN / SUBGROUP; i++) {
    let row = (i * SUBGROUP + lane_id) / MN;
    let column = (i * SUBGROUP + lane_id) % MN;
    staged[at + row * stride + column / 4u][column % 4u] = bitcast<u32>(sums[i]);
  }
}
`;

/** Declares a case for activations of either precision. */
function eachPrecision(
  name: string,
  weights: string,
  body: (device: GPUDevice, act: Precision) => Promise<void>,
): void {
  for (const act of ["f32", "f16"] as const) {
    const precision = `${weights}${act === "f16" ? ", f16 activations" : ""}, matrix units emulated`;
    const features: GPUFeatureName[] = act === "f16" ? ["shader-f16"] : [];
    onGpu(`${name}, ${act} activations`, { precision, features }, ({ device }) => body(device, act));
  }
}

/**
 * Tiles that fit 16 KiB of workgroup memory, and among them every way in which the variants in use differ: each with one
 * kind of weights, and with both kinds of activations where the device has halves.
 */
export const LINEAR_CASES: readonly [StoredDType, Constants][] = [
  ["q4", { SUBGROUPS_N: 4 }],
  ["f32", { GELU: false, ADD: false }],
  ["q8", { BK: 16, BUFFERS: 2 }],
  ["f16", { BN: 32, SUBGROUPS_M: 4, SUBGROUPS_N: 1, MN: 8 }],
  ["f16", { MM: 8, MN: 8, MK: 8 }],
  ["f16", { MM: 8, SUBGROUPS_N: 4, SUBGROUP: 16 }],
];

/** A case of linear_matrix on units that are emulated. */
export function linearOnUnits([dtype, variant]: (typeof LINEAR_CASES)[number]): void {
  const label = `linear_matrix ${JSON.stringify(variant)}, ${dtype} weights`;
  eachPrecision(label, dtype, async (device, act) => {
    const constants = { BM: 64, BN: 64, GELU: true, ADD: true, ...variant };
    const [rows, depth, columns, addendRows] = [constants.BM + 3, 96, 96, 13];
    const x = halved(random(rows * depth, 3));
    const weights = halved(random(columns * depth, 5, 1 / Math.sqrt(depth)));
    const [bias, addend] = [random(columns, 7), random(addendRows * columns, 4)];
    const { bytes, scales = new Uint8Array(16) } =
      dtype === "f32" ? { bytes: weights } : packRows(weights, depth, dtype);
    const y = await run(device, "linear_matrix", act, {
      constants: { ...constants, WEIGHTS: dtype.toUpperCase() },
      words: [rows, depth, columns, addendRows],
      storage: [stored([...x, ...poison(constants.BM * depth)], act), bytes, scales, bias, addend],
      size: rows * columns,
      groups: [Math.ceil(columns / constants.BN), 2, 1],
    });
    let kept = weights;
    if (dtype === "q8" || dtype === "q4") {
      const { codes, scales } = quantise(weights, dtype);
      kept = Float32Array.from(codes, (code, i) => code * halfToFloat(scales[Math.floor(i / GROUP)]));
    }
    const epilogue = { gelu: constants.GELU, add: constants.ADD ? addend : undefined };
    const expected = reference.linear(x, kept, bias, depth, epilogue);
    // A scale times a code is rounded to a half, in a way that WGSL leaves open; else only sums in f32 are.
    const gate = act === "f16" || dtype === "q8" || dtype === "q4" ? 1e-6 : 1e-10;
    compare(y, expected, { shape: [rows, columns], label, gate });
  });
}

/** Two subgroups of few rows, so that queries and keys fit 16 KiB side by side. */
export const ATTENTION_CASES: readonly {
  tokens: number;
  head: number;
  heads: number;
  size: number;
  variant: Constants;
  lengths?: [number, number];
}[] = [
  { tokens: 37, head: 72, heads: 3, size: 1, variant: {} },
  { tokens: 37, head: 72, heads: 3, size: 1, variant: { LENGTHS: true }, lengths: [33, 1] },
  // Scores of some hundreds: weights would overflow if what they are relative to did not grow with them.
  { tokens: 165, head: 64, heads: 2, size: 15, variant: { MM: 8, MN: 8, MK: 8 } },
  // Beyond 1e5, which no half holds: of whole numbers, whose sums float32 keeps exactly.
  { tokens: 37, head: 16, heads: 2, size: 300, variant: {} },
];

/** A case of attention_matrix on units that are emulated. */
export function attentionOnUnits({
  tokens,
  head,
  heads,
  size,
  variant,
  lengths,
}: (typeof ATTENTION_CASES)[number]): void {
  const label = `attention_matrix ${JSON.stringify(variant)}, ${heads} heads of ${head}`;
  eachPrecision(label, "f32", async (device, act) => {
    const [batch, width] = [2, heads * head];
    const padded = (columns: number) => Math.ceil(columns / 32) * 32;
    const stride = padded(3 * width);
    const qkv = halved(
      random(batch * tokens * stride, 8, size).map((value) => (size > 100 ? Math.round(value) : value)),
    );
    const view = (part: number) => ({ data: qkv, tokens, stride, offset: part * width });
    const at = (part: number) => [stride, part * width];
    const scale = new Uint32Array(Float32Array.of(1 / Math.sqrt(head)).buffer)[0];
    const data = stored([...qkv, ...poison(64 * stride)], act);
    const yStride = padded(width);
    const y = await run(device, "attention_matrix", act, {
      constants: { SUBGROUPS: 2, SUBGROUP: 16, HEAD: head, ...variant },
      words: [tokens, tokens, heads, tokens, ...at(0), ...at(1), ...at(2), yStride, scale],
      storage: [data, data, data, Float32Array.from(lengths ?? [])],
      size: batch * tokens * yStride,
      groups: [Math.ceil(tokens / 32), heads, batch],
    });
    const dense = reference.attention(view(0), view(1), view(2), width, heads, lengths);
    const expected = Float64Array.from(y, (_, i) =>
      i % yStride < width ? dense[Math.floor(i / yStride) * width + (i % yStride)] : 0,
    );
    compare(y, expected, { shape: [batch, tokens, yStride], label, gate: 1e-6 });
  });
}

/** The same values as halves hold them. */
function halved(values: Float32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(values, (value) => halfToFloat(floatToHalf(value)));
}

function poison(count: number): number[] {
  return new Array<number>(count).fill(Number.NaN);
}

function stored(values: number[], act: Precision): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  return act === "f32" ? Float32Array.from(values) : Uint16Array.from(values, floatToHalf);
}

/**
 * The `size` elements that a kernel writes in two dispatches, of which the second begins at the second workgroup along y.
 * They are NaN beforehand, and so is what lies behind them, afterwards too.
 */
async function run(
  device: GPUDevice,
  kernel: MatrixKernel,
  act: Precision,
  work: {
    constants: Constants;
    words: number[];
    storage: ArrayBufferView[];
    size: number;
    groups: [number, number, number];
  },
): Promise<Float32Array> {
  const buffer = (data: ArrayBufferView, usage = GPUBufferUsage.STORAGE) => {
    const size = Math.max(16, data.byteLength);
    const made = device.createBuffer({ size, usage: usage | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC });
    device.queue.writeBuffer(made, 0, data as ArrayBufferView<ArrayBuffer>);
    return made;
  };
  const y = buffer(stored(poison(work.size + 65536), act));
  const storage = [...work.storage.map((data) => buffer(data)), y];
  const types = ["uniform", ...work.storage.map(() => "read-only-storage"), "storage"] as GPUBufferBindingType[];
  const entries = types.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } }));
  const layout = device.createBindGroupLayout({ entries });
  const code = emulated(kernel, { ...work.constants, act, result: act }, act === "f16");
  const pipeline = await device.createComputePipelineAsync({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const [across, along, deep] = work.groups;
  for (const [first, count] of [
    [0, 1],
    [1, along - 1],
  ]) {
    const uniform = buffer(Uint32Array.of(...work.words, first, 0, 0, 0), GPUBufferUsage.UNIFORM);
    const bound = [uniform, ...storage].map((made, binding) => ({ binding, resource: { buffer: made } }));
    pass.setBindGroup(0, device.createBindGroup({ layout, entries: bound }));
    pass.dispatchWorkgroups(across, count, deep);
  }
  pass.end();
  const staging = device.createBuffer({ size: y.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  encoder.copyBufferToBuffer(y, 0, staging, 0, y.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const bytes = staging.getMappedRange();
  const all = act === "f32" ? new Float32Array(bytes) : Float32Array.from(new Uint16Array(bytes), halfToFloat);
  expect(all.subarray(work.size).every(Number.isNaN), "nothing is written behind the result").toBe(true);
  return all.slice(0, work.size);
}
