import { wgsl } from "../../../kernels/wgsl.generated.ts";
import { type Constants, specialise } from "./specialise.ts";

/** The bindings of every kernel, in the order of its `@binding`s: uniform, read-only or writable storage. */
const BINDINGS = {
  linear: "urrrrrw",
  linear_direct: "urrrrrw",
  linear_split: "urrrrrw",
  linear_matrix: "urrrrrw",
  layer_norm: "urrrw",
  attention: "urrrrw",
  attention_matrix: "urrrrw",
  convert: "urwww",
} as const;

const TYPES = { u: "uniform", r: "read-only-storage", w: "storage" } as const;

export type Kernel = keyof typeof BINDINGS;

/** A compiled kernel, or one that is being compiled. */
export interface Pipeline {
  readonly layout: GPUBindGroupLayout;
  readonly compiled: Promise<GPUComputePipeline>;
}

/** Bind groups and uniforms kept before they are dropped and made anew: on a weak device, where work is cut up anew each time. */
const KEPT = 8192;

/** Pipelines, bind groups and small constant buffers, each made once and kept. */
export class Pipelines {
  private readonly device: GPUDevice;
  private readonly create: (bytes: number, usage: GPUBufferUsageFlags) => GPUBuffer;
  private readonly free: (buffer: GPUBuffer) => void;
  private readonly layouts = new Map<string, GPUBindGroupLayout>();
  private readonly pipelines = new Map<string, Pipeline>();
  private readonly binds = new Map<string, GPUBindGroup>();
  private readonly constants = new Map<string, GPUBuffer>();
  private readonly ids = new WeakMap<GPUBuffer, number>();
  private lastId = 0;

  constructor(
    device: GPUDevice,
    create: (bytes: number, usage: GPUBufferUsageFlags) => GPUBuffer,
    free: (buffer: GPUBuffer) => void,
  ) {
    this.device = device;
    this.create = create;
    this.free = free;
  }

  /** A kernel specialised by `constants`; it starts to compile at the first call and goes on in the background. */
  get(kernel: Kernel, constants: Constants): Pipeline {
    const key = `${kernel} ${JSON.stringify(constants)}`;
    let pipeline = this.pipelines.get(key);
    if (!pipeline) {
      const layout = this.layout(BINDINGS[kernel]);
      const compiled = this.compile(kernel, constants, layout);
      compiled.catch(() => {}); // told where it is awaited
      pipeline = { layout, compiled };
      this.pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  /** A uniform buffer, one for all uses of the same contents. */
  constant(words: readonly number[]): GPUBuffer {
    const key = String(words);
    let buffer = this.constants.get(key);
    if (!buffer) {
      buffer = this.create(words.length * 4, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
      this.device.queue.writeBuffer(buffer, 0, new Uint32Array(words));
      this.constants.set(key, buffer);
    }
    return buffer;
  }

  /** Drops uniforms and bind groups where they are many. To be called when all that uses them has been submitted. */
  trim(): void {
    if (this.constants.size < KEPT && this.binds.size < KEPT) return;
    this.binds.clear();
    for (const buffer of this.constants.values()) this.free(buffer);
    this.constants.clear();
  }

  /** The buffers bound for a pipeline. */
  bind(pipeline: Pipeline, buffers: readonly GPUBuffer[]): GPUBindGroup {
    const key = `${pipeline.layout.label} ${buffers.map((buffer) => this.id(buffer))}`;
    let bind = this.binds.get(key);
    if (!bind) {
      const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
      bind = this.device.createBindGroup({ layout: pipeline.layout, entries });
      this.binds.set(key, bind);
    }
    return bind;
  }

  private async compile(kernel: Kernel, constants: Constants, layout: GPUBindGroupLayout): Promise<GPUComputePipeline> {
    const label = `${kernel} ${JSON.stringify(constants)}`;
    let code = specialise(await source(kernel), constants);
    if ("SUBGROUP" in constants && this.device.features.has("subgroup-size-control" as GPUFeatureName)) {
      code = sized(code);
    }
    this.device.pushErrorScope("validation");
    const pipeline = this.device.createComputePipelineAsync({
      label,
      layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: this.device.createShaderModule({ label, code }), entryPoint: "main" },
    });
    // What is wrong with the shader, the pipeline tells.
    this.device.popErrorScope().catch(() => {});
    return pipeline;
  }

  private layout(kinds: string): GPUBindGroupLayout {
    let layout = this.layouts.get(kinds);
    if (!layout) {
      const entries = [...kinds].map((kind, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: TYPES[kind as keyof typeof TYPES] },
      }));
      layout = this.device.createBindGroupLayout({ label: kinds, entries });
      this.layouts.set(kinds, layout);
    }
    return layout;
  }

  private id(buffer: GPUBuffer): number {
    let id = this.ids.get(buffer);
    if (id === undefined) {
      id = ++this.lastId;
      this.ids.set(buffer, id);
    }
    return id;
  }
}

/** Matrices want subgroups of one size, which a device that has several must be asked for. */
export function sized(code: string): string {
  return `enable subgroup_size_control;\n${code.replace("@workgroup_size", "@subgroup_size(SUBGROUP) @workgroup_size")}`;
}

/** A kernel's text. Those that not every device or load has a use for come in modules of their own. */
async function source(kernel: Kernel): Promise<string> {
  switch (kernel) {
    case "convert":
      return (await import("../../../kernels/wgsl-convert.generated.ts")).wgsl[kernel];
    case "attention_matrix":
    case "linear_matrix":
      return (await import("../../../kernels/wgsl-matrix.generated.ts")).wgsl[kernel];
    default:
      return wgsl[kernel];
  }
}
