import { afterAll, expect } from "vitest";
import { join } from "../../../kernels/generate.ts";
import { wgsl as common } from "../../../kernels/wgsl.generated.ts";
import { wgsl as convert } from "../../../kernels/wgsl-convert.generated.ts";
import { wgsl as matrix } from "../../../kernels/wgsl-matrix.generated.ts";
import { sized } from "../../../src/tensor/webgpu/pipelines.ts";
import { type Constants, specialise } from "../../../src/tensor/webgpu/specialise.ts";
import { ATTENTION, type AttentionForm, fits, LINEAR, type LinearForm } from "../../../src/tensor/webgpu/tiles.ts";
import { tallied } from "../../harness/cases.ts";
import { nullDevice } from "../../harness/gpu.ts";

const wgsl = { ...common, ...convert, ...matrix };
type Kernel = keyof typeof wgsl;

const PRECISIONS = { act: ["f32", "f16"], result: ["f32", "f16"] };
const LINEAR_USES = combinations({
  ...PRECISIONS,
  WEIGHTS: ["F32", "F16", "Q8", "Q4"],
  GELU: [false, true],
  ADD: [false, true],
});

const ATTENTION_USES = combinations({ ...PRECISIONS, HEAD: [64, 72, 96], LENGTHS: [false, true] });

/** Matrix units: NVIDIA's, Apple's, Intel's and one of NVIDIA's that it has beside the largest. */
export const UNITS: readonly Constants[] = [
  {},
  { MM: 8, MN: 8, MK: 8 },
  { MM: 8, MN: 16, MK: 16, SUBGROUP: 16 },
  { MN: 8 },
];

/** The null backend has no more than 16 KiB of workgroup memory: a pipeline of a larger tile is tried with this one. */
const SMALL = { BM: 64, BN: 64, SUBGROUPS_M: 2, SUBGROUPS_N: 2, SUBGROUP: 32 };

/** What only a pipeline is told: the null backend's workgroup memory, and its largest subgroup of 128 threads. */
const LIMITS = /total use of workgroup storage|must be a multiple of the device maxSubgroupSize/;

let compiled = 0;
let shrunk = 0;

/** Every kernel in every use, on matrix units of these shapes; as a device without any has them with none. */
export function compileKernels(units: readonly Constants[]): void {
  if (units.includes(UNITS[0])) compilePortable();
  const forms = [...Object.entries<LinearForm | AttentionForm>(LINEAR), ...Object.entries<AttentionForm>(ATTENTION)];
  for (const [name, { kernel, constants }] of forms) {
    if (!kernel.endsWith("_matrix")) continue;
    const uses = kernel === "linear_matrix" ? LINEAR_USES : ATTENTION_USES;
    for (const unit of units) compiles(kernel, called(name, unit), { ...constants, ...unit }, uses);
  }
  // As a device with subgroups of several sizes is given them, in tiles that fit the null backend.
  for (const [kernel, small] of [["linear_matrix", SMALL] as const, ["attention_matrix", { SUBGROUPS: 2 }] as const]) {
    for (const unit of units) {
      tallied(called(`${kernel} sized`, unit), { backend: "compiled", precision: "all" }, async (context) => {
        const found = await nullDevice();
        if ("reason" in found) return context.skip(found.reason);
        expect(found.device.features).toContain("subgroup-size-control");
        expect(await failure(found.device, sized(specialise(matrix[kernel], { ...small, ...unit })))).toBeUndefined();
      });
    }
  }

  afterAll(() => {
    console.log(`${compiled} combinations compiled, ${shrunk} of them not as pipelines of their full size`);
  });
}

function compilePortable(): void {
  for (const kernel of Object.keys(wgsl) as Kernel[]) {
    tallied(`${kernel} as it is printed`, { backend: "compiled", precision: "all" }, async (context) => {
      const found = await nullDevice();
      if ("reason" in found) return context.skip(found.reason);
      const error = await failure(found.device, join(kernel));
      if (!kernel.endsWith("_matrix") || !error?.match(LIMITS)) expect(error).toBeUndefined();
    });
  }
  for (const [name, { kernel, constants }] of Object.entries(LINEAR)) {
    if (kernel !== "linear_matrix") compiles(kernel, name, constants, LINEAR_USES);
  }
  for (const [name, { kernel, constants }] of Object.entries<AttentionForm>(ATTENTION)) {
    if (kernel !== "attention_matrix") compiles(kernel, name, constants, ATTENTION_USES);
  }
  compiles("layer_norm", "in every precision", {}, combinations(PRECISIONS));
  const conversions = { SOURCE: ["F32", "F16", "BF16"], WEIGHTS: ["F32", "F16", "Q8", "Q4"] };
  compiles("convert", "from and to every precision", {}, combinations(conversions));
}

/** Compiles a form of a kernel for each of its uses, WGSL and pipeline. */
function compiles(kernel: Kernel, form: string, constants: Constants, uses: readonly Constants[]): void {
  tallied(`${kernel} ${form}, ${uses.length} uses`, { backend: "compiled", precision: "all" }, async (context) => {
    const found = await nullDevice();
    if ("reason" in found) return context.skip(found.reason);
    for (const use of uses) {
      const label = `${kernel} ${JSON.stringify({ ...constants, ...use })}`;
      let error = await failure(found.device, specialise(wgsl[kernel], { ...constants, ...use }));
      if (kernel === "linear_matrix" && error?.includes("total use of workgroup storage")) {
        const small = { ...constants, ...SMALL, BK: 32 / Number(constants.BUFFERS ?? 1) };
        error = await failure(found.device, specialise(wgsl[kernel], { ...small, ...use }));
        shrunk++;
      }
      if (isLarge(kernel, { ...constants, ...use }) && error?.match(LIMITS)) {
        error = undefined;
        shrunk++;
      }
      expect(error, label).toBeUndefined();
      compiled++;
    }
  });
}

/** What is wrong with a shader or with the pipeline made of it: WGSL is looked at first, limits only if it is right. */
async function failure(device: GPUDevice, code: string): Promise<string | undefined> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  const invalid = device.popErrorScope();
  const pipeline = device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
  const refused = await pipeline.then(
    () => undefined,
    (error: Error) => error.message,
  );
  return (await invalid)?.message ?? refused;
}

/** Whether a kernel may want more than every device has: on matrix units, or as attention in large blocks. */
function isLarge(kernel: Kernel, constants: Constants): boolean {
  if (kernel !== "attention" || !("HEAD" in constants)) return kernel.endsWith("_matrix");
  return !fits({ kernel, constants, queries: Number(constants.QUERIES) }, Number(constants.HEAD));
}

function called(form: string, unit: Constants): string {
  return [form, ...Object.entries(unit).flat()].join(" ");
}

/** Every choice of one value for each name. */
function combinations(values: Record<string, readonly (string | number | boolean)[]>): Constants[] {
  let all: Constants[] = [{}];
  for (const [name, ones] of Object.entries(values)) {
    all = all.flatMap((constants) => ones.map((one) => ({ ...constants, [name]: one })));
  }
  return all;
}
