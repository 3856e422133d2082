import { float32ToHalf } from "../../src/support/numbers.ts";
import { type Constants, specialise } from "../../src/tensor/webgpu/specialise.ts";
import type { Bench as Device } from "./device.ts";
import { timing } from "./statistics.ts";

/** What a device can do at most, as measured on it: multiply-adds a second as FLOP/s, and bytes a second. */
export interface Ceilings {
  readonly f32: number;
  /** Where the device has shader-f16. */
  readonly f16?: number;
  /** f16 in, f32 out, where it has matrix units. */
  readonly matrix?: number;
  /** Bytes read and written by a copy of more than the caches hold. */
  readonly copy: number;
  /** Half the multiply-adds took this fraction of the time. */
  readonly halved: number;
}

/** The text of bench/ceilings/*.wgsl by name. */
export type CeilingShaders = Readonly<Record<"fma" | "copy" | "matrix", string>>;

/** What is measured on, and with what. */
interface Bench extends Device {
  readonly shaders: CeilingShaders;
}

const STEPS = 512;
const THREADS = 256;

interface Micro {
  readonly source: keyof CeilingShaders;
  readonly constants: Constants;
  readonly buffers: readonly GPUBuffer[];
  readonly groups: number;
  /** Throws unless the kernel did what it is counted for. */
  readonly verify: () => Promise<void>;
}

/** Multiply-adds and copying at full tilt, each verified before it is timed; `tell` gets one line for each. */
export async function measureCeilings(
  on: Device,
  shaders: CeilingShaders,
  tell: (line: string) => void,
): Promise<Ceilings> {
  const bench = { ...on, shaders };
  const { device, adapter } = bench;
  const copy = await copyRate(bench);
  tell(`copy ${(copy / 1e9).toPrecision(3)} GB/s`);
  const rates: Partial<Record<"f32" | "f16" | "matrix", number>> = {};
  let halved = Number.NaN;
  for (const number of ["f32", "f16"] as const) {
    if (number === "f16" && !device.features.has("shader-f16")) {
      tell("f16 FMA skipped: the device lacks shader-f16");
      continue;
    }
    let best = { rate: 0, constants: {} as Constants };
    for (const CHAINS of adapter.software ? [2, 4] : [2, 4, 8]) {
      for (const FUSED of [true, false]) {
        const constants = { number, CHAINS, FUSED };
        const { rate } = await fmaRate(bench, constants, STEPS);
        if (rate > best.rate) best = { rate, constants };
      }
    }
    rates[number] = best.rate;
    if (number === "f32") {
      halved = await halvedTime(bench, best.constants);
    }
    tell(`${number} FMA ${(best.rate / 1e9).toPrecision(3)} GFLOP/s (${JSON.stringify(best.constants)})`);
  }
  rates.matrix = await matrixRate(bench, tell);
  return { f32: rates.f32!, f16: rates.f16, matrix: rates.matrix, copy, halved };
}

/** The time of half the multiply-adds over that of all, the two by turns. */
async function halvedTime(bench: Bench, constants: Constants): Promise<number> {
  const { groups } = await fmaRate(bench, constants, STEPS);
  const [full, half]: number[][] = [[], []];
  for (let i = 0; i < 5; i++) {
    full.push((await fmaRate(bench, constants, STEPS, groups)).seconds);
    half.push((await fmaRate(bench, constants, STEPS / 2, groups)).seconds);
  }
  return timing(half).min / timing(full).min;
}

async function fmaRate(bench: Bench, constants: Constants, steps: number, fixed?: number) {
  const chains = constants.CHAINS as number;
  const unit = 2 ** -8;
  const factors = upload(bench, new Float32Array([1, unit]));
  const most = fixed ?? (bench.adapter.software ? 64 : 2 ** 14);
  const sums = storage(bench, most * THREADS * 16);
  const make = (groups: number): Micro => ({
    source: "fma",
    constants: { ...constants, STEPS: steps },
    buffers: [factors, sums],
    groups,
    async verify() {
      const found = new Float32Array(await download(bench, sums, THREADS * 16));
      for (const thread of [0, 1, THREADS - 1]) {
        const firsts = [thread % 64, 0, 1, 2];
        for (const [c, first] of firsts.entries()) {
          const want = (chains * (first + steps) + (chains * (chains - 1)) / 2) * unit;
          if (found[4 * thread + c] !== want)
            throw new Error(`fma: wanted ${want}, found ${found[4 * thread + c]}; not timed.`);
        }
      }
    },
  });
  const { seconds, groups } = await measure(bench, make, most, fixed);
  factors.destroy();
  sums.destroy();
  return { rate: (groups * THREADS * chains * 4 * steps * 2) / seconds, seconds, groups };
}

async function copyRate(bench: Bench): Promise<number> {
  const { maxStorageBufferBindingSize, maxBufferSize } = bench.device.limits;
  const bytes = Math.min(maxStorageBufferBindingSize, maxBufferSize, bench.adapter.software ? 2 ** 24 : 2 ** 28);
  const each = THREADS * 4 * 16;
  const most = Math.floor(bytes / each);
  const words = Uint32Array.from({ length: (most * each) / 4 }, (_, i) => Math.imul(i + 1, 0x9e3779b9));
  const x = upload(bench, words);
  const y = storage(bench, words.byteLength);
  const make = (groups: number): Micro => ({
    source: "copy",
    constants: {},
    buffers: [x, y],
    groups,
    async verify() {
      const found = new Uint32Array(await download(bench, y, each));
      if (found.some((word, i) => word !== words[i])) throw new Error("copy: y is not x; not timed.");
    },
  });
  const { seconds, groups } = await measure(bench, make, most, most);
  x.destroy();
  y.destroy();
  return (2 * groups * each) / seconds;
}

interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

async function matrixRate(bench: Bench, tell: (line: string) => void): Promise<number | undefined> {
  const { device, info } = bench;
  if (!device.features.has("chromium-experimental-subgroup-matrix" as GPUFeatureName)) {
    tell("matrix units skipped: the device lacks chromium-experimental-subgroup-matrix");
    return undefined;
  }
  const offered = [...((info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> }).subgroupMatrixConfigs ?? [])];
  const usable = offered.filter((one) => one.componentType === "f16" && one.resultComponentType === "f32");
  let best: number | undefined;
  for (const { M, N, K } of usable) {
    const rate = await oneMatrixRate(bench, M, N, K);
    tell(`matrix units ${M}x${N}x${K}: ${(rate / 1e9).toPrecision(3)} GFLOP/s`);
    best = Math.max(best ?? 0, rate);
  }
  if (best === undefined) tell(`matrix units skipped: none takes f16 and gives f32 (${JSON.stringify(offered)})`);
  return best;
}

async function oneMatrixRate(bench: Bench, M: number, N: number, K: number): Promise<number> {
  const entry = (i: number) => ((Math.imul(i + 1, 0x9e3779b9) >>> 16) % 5) - 2;
  const left = Float32Array.from({ length: 4 * M * K }, (_, i) => entry(i));
  const right = Float32Array.from({ length: K * N }, (_, i) => entry(i + 7919));
  const most = 2 ** 13;
  const [a, b] = [left, right].map((values) => upload(bench, float32ToHalf(values)));
  const sums = storage(bench, most * 4 * M * N * 4);
  const size = storage(bench, 16);
  const make = (groups: number): Micro => ({
    source: "matrix",
    constants: { M, N, K, STEPS },
    buffers: [a, b, sums, size],
    groups,
    async verify() {
      const found = new Float32Array(await download(bench, sums, 4 * M * N * 4));
      for (const at of [0, N + 1, M * N + 2, 4 * M * N - 1]) {
        const [row, column] = [Math.floor(at / N), at % N];
        let want = 0;
        for (let k = 0; k < K; k++) want += STEPS * left[row * K + k] * right[k * N + column];
        if (found[at] !== want) throw new Error(`matrix: wanted ${want} at ${at}, found ${found[at]}; not timed.`);
      }
    },
  });
  const { seconds, groups } = await measure(bench, make, most);
  const [threads] = new Uint32Array(await download(bench, size, 4));
  for (const buffer of [a, b, sums, size]) buffer.destroy();
  return (groups * (THREADS / threads) * 4 * STEPS * 2 * M * N * K) / seconds;
}

/** The least seconds of one dispatch, of as many workgroups as make it long enough to be timed. */
async function measure(bench: Bench, make: (groups: number) => Micro, most: number, fixed?: number) {
  const enough = bench.adapter.software ? 0.02 : bench.rounded ? 0.01 : 0.002;
  for (let groups = fixed ?? Math.min(16, most); ; groups = Math.min(most, groups * 4)) {
    const micro = make(groups);
    const pipeline = await compile(bench, micro);
    await run(bench, micro, pipeline, 1);
    await micro.verify();
    const { min } = timing(await run(bench, micro, pipeline, bench.adapter.software ? 5 : 10));
    if (min >= enough || groups === most || fixed) return { seconds: min, groups };
  }
}

async function compile({ device, shaders }: Bench, { source, constants }: Micro): Promise<GPUComputePipeline> {
  const code = specialise(shaders[source], constants);
  const module = device.createShaderModule({ code });
  return device.createComputePipelineAsync({ label: source, layout: "auto", compute: { module, entryPoint: "main" } });
}

/** Seconds of each of `times` dispatches; where there are no timestamps, of their mean. */
async function run({ device, profile }: Bench, micro: Micro, pipeline: GPUComputePipeline, times: number) {
  const entries = micro.buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const bind = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const started = performance.now();
  const spans = await profile.record(async () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bind);
    for (let i = 0; i < times; i++) pass.dispatchWorkgroups(micro.groups);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  });
  const mean = (performance.now() - started) / 1000 / times;
  return profile.timestamps ? spans.map(({ seconds }) => seconds) : [mean];
}

function storage({ device }: Bench, size: number): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  return device.createBuffer({ size, usage });
}

function upload(bench: Bench, data: ArrayBufferView): GPUBuffer {
  const buffer = storage(bench, Math.ceil(data.byteLength / 16) * 16);
  bench.device.queue.writeBuffer(buffer, 0, data as ArrayBufferView<ArrayBuffer>);
  return buffer;
}

async function download({ device }: Bench, buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
  const staging = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const contents = staging.getMappedRange().slice(0);
  staging.destroy();
  return contents;
}
