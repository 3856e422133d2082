import { describe, expect } from "vitest";
import { float32ToHalf, halfToFloat, toFloat32 } from "../../../src/support/numbers.ts";
import type { PackedChunk, RowChunk } from "../../../src/tensor/packing.ts";
import type { StoredDType, Weight } from "../../../src/tensor/program.ts";
import { packRows, unpackRows } from "../../../src/tensor/quantise.ts";
import { GROUP } from "../../../src/tensor/shape.ts";
import { WebGpuBackend } from "../../../src/tensor/webgpu/backend.ts";
import { SOFTWARE } from "../../../src/tensor/webgpu/options.ts";
import { onGpu } from "../../harness/cases.ts";
import { random } from "../../judge/reference.ts";

type StoredBuffers = { buffer: GPUBuffer; scales?: GPUBuffer };
type Stored = { bytes: Uint8Array; scales?: Uint8Array };

function view({ buffer }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer);
}

/** Rows of floats in uneven chunks, as a file's float format holds them. */
async function* chunks(values: Float32Array, width: number, dtype: "F32" | "F16" | "BF16"): AsyncGenerator<RowChunk> {
  const step = Math.ceil(values.length / width / 3);
  for (let from = 0; from < values.length; from += step * width) {
    const part = values.slice(from, from + step * width);
    const bits = new Uint32Array(part.buffer);
    const stored = { F32: part, F16: float32ToHalf(part), BF16: Uint16Array.from(bits, (word) => word >>> 16) }[dtype];
    yield { dtype, rows: part.length / width, bytes: view(stored) };
  }
}

async function bytesOf(device: GPUDevice, buffer: GPUBuffer, bytes: number): Promise<Uint8Array> {
  const staging = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, bytes);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const found = new Uint8Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return found;
}

/** Stores a weight, and finds the buffers that it lies in. */
async function store(b: WebGpuBackend, weight: Weight, rows: AsyncIterable<RowChunk>): Promise<StoredBuffers> {
  await b.weight(weight, rows);
  await b.loaded();
  return (b as unknown as { weights: Map<string, StoredBuffers> }).weights.get(weight.name)!;
}

/** What a device makes of rows of floats. */
async function rounded(
  device: GPUDevice,
  values: Float32Array,
  width: number,
  dtype: StoredDType,
  source: "F32" | "F16" | "BF16" = "F32",
): Promise<Stored> {
  const b = new WebGpuBackend(device, { ...SOFTWARE, rounding: "device" });
  const out = values.length / width;
  const { buffer, scales } = await store(b, { name: "w", shape: [out, width], dtype }, chunks(values, width, source));
  expect(b.bytes - buffer.size - (scales?.size ?? 0), "what only loading needs is freed").toBeLessThan(1024);
  const stride = Math.ceil(width / 32) * 32;
  const bits = { f32: 32, f16: 16, q8: 8, q4: 4 }[dtype];
  const found = {
    bytes: await bytesOf(device, buffer, (out * stride * bits) / 8),
    scales: scales && (await bytesOf(device, scales, scales.size)).subarray(0, (out * stride) / 16),
  };
  b.dispose();
  return found;
}

function expectSame(found: ArrayLike<number>, wanted: ArrayLike<number>, of: Float32Array): void {
  expect(found.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) {
    if (found[i] !== wanted[i]) expect.fail(`element ${i}, ${of[i]}: ${found[i]} where ${wanted[i]} was expected`);
  }
}

/** Every finite half, what lies in the middle between it and the next, and the floats beside that; then any floats. */
function awkward(): Float32Array {
  const values: number[] = [];
  for (let half = 0; half < 0x7c00; half++) {
    const value = halfToFloat(half);
    const middle = (value + (half === 0x7bff ? 65536 : halfToFloat(half + 1))) / 2;
    const bits = new Uint32Array(Float32Array.of(middle).buffer);
    const beside = [-1, 1].map((step) => new Float32Array(Uint32Array.of(bits[0] + step).buffer)[0]);
    for (const one of [value, middle, ...beside]) values.push(one, -one);
  }
  values.push(1e-40, -1e-45, 2 ** -25, 2 ** -26, 1e30, -3e38, 65519.996, -65520);
  const any = Uint32Array.from(random(2 ** 15, 77, 1), (value) => (value * 2 ** 31) >>> 0);
  values.push(...new Float32Array(any.buffer).filter(Number.isFinite));
  return Float32Array.from(values.slice(0, values.length - (values.length % 64)));
}

function padded(rows: Float32Array, width: number): Float32Array {
  const stride = Math.ceil(width / 32) * 32;
  const out = new Float32Array((rows.length / width) * stride);
  for (let row = 0; row < rows.length / width; row++) {
    out.set(rows.subarray(row * width, (row + 1) * width), row * stride);
  }
  return out;
}

describe("weights rounded on the device", () => {
  onGpu("are the host's halves, bit for bit", { precision: "f16" }, async ({ device }) => {
    const values = awkward();
    const { bytes } = await rounded(device, values, 64, "f16");
    expectSame(new Uint16Array(bytes.buffer), float32ToHalf(values), values);
    const ragged = values.subarray(0, 33 * 500);
    const rows = await rounded(device, ragged, 33, "f16");
    expectSame(new Uint16Array(rows.bytes.buffer), float32ToHalf(padded(ragged, 33)), padded(ragged, 33));
  });

  onGpu("are exact where the file's floats are shorter", { precision: "all" }, async ({ device }) => {
    const halves = Float32Array.from({ length: 0x7c00 }, (_, half) => halfToFloat(half) * (half % 2 === 0 ? 1 : -1));
    const short = toFloat32(
      view(Uint16Array.from({ length: 2 ** 14 }, (_, i) => (i * 2 + 256) | ((i & 1) << 15))),
      "BF16",
    );
    for (const [values, source] of [
      [halves, "F16"],
      [short.filter(Number.isFinite), "BF16"],
    ] as const) {
      // An odd width: of every other row the first element is the upper half of a word.
      const rows = values.slice(0, Math.floor(values.length / 31) * 31);
      const { bytes } = await rounded(device, rows, 31, "f32", source);
      expectSame(new Float32Array(bytes.buffer), padded(rows, 31), padded(rows, 31));
    }
    const { bytes } = await rounded(device, short.subarray(0, 64 * 200), 64, "f16", "BF16");
    const part = short.subarray(0, 64 * 200);
    expectSame(new Uint16Array(bytes.buffer), float32ToHalf(part), part);
  });

  for (const dtype of ["q8", "q4"] as const) {
    for (const source of ["F32", "F16", "BF16"] as const) {
      onGpu(`are the host's ${dtype} but for rounding, from ${source}`, { precision: dtype }, async ({ device }) => {
        // Rows of 9 groups: every other row's scales begin within a word.
        const [rows, width] = [512, 279];
        const raw = random(rows * width, 5, 0.02);
        raw.subarray(0, 2 * width).fill(0);
        raw[3 * width] = 1e30;
        raw.subarray(4 * width, 5 * width).fill(1e-9);
        let stored: Float32Array = raw;
        if (source === "F16")
          stored = raw.map((value) => halfToFloat(float32ToHalf(Float32Array.of(Math.min(value, 6e4)))[0]));
        if (source === "BF16") {
          stored = new Float32Array(new Uint32Array(raw.buffer).map((word) => word & 0xffff0000).buffer);
        }
        const found = await rounded(device, stored, width, dtype, source);
        const host = packRows(stored, width, dtype) as PackedChunk;
        const [scales, others] = [found, host].map((from) => toFloat32(from.scales!, "F16"));
        const weights = unpackRows({ ...host, bytes: found.bytes, scales: found.scales! }, width);
        let [error, least, different] = [0, 0, 0];
        for (const [i, wanted] of unpackRows(host, width).entries()) {
          const [value, weight] = [stored[i], weights[i]];
          if (value === 1e30) continue;
          error += (value - weight) ** 2;
          least += (value - wanted) ** 2;
          if (weight === wanted) continue;
          different++;
          const group = Math.floor(i / width) * Math.ceil(width / GROUP) + Math.floor((i % width) / GROUP);
          // Of one scale, codes differ only at a tie: the host divides in float64, the device in float32 with 2.5 ULP.
          if (scales[group] !== others[group]) continue;
          expect(Math.abs(value - (weight + wanted) / 2) / Math.abs(scales[group])).toBeLessThan(128 * 2 ** -21);
        }
        // Sums of 32 squares in float32 rank two scales alike where they differ by less than some 2^-20.
        expect(error).toBeLessThanOrEqual(least * (1 + 2 ** -18));
        // A float32 lies on the other side of a tie once in some 10^6 codes; of the middle between two halves, so that a
        // scale changes by its last bit, once in some 10^3 scales, and one code in 500 with it.
        expect(different).toBeLessThan(1e-4 * stored.length);
      });
    }
  }

  onGpu("go on in what arrives packed", { precision: "q4" }, async ({ device }) => {
    const [rows, width] = [9, 33 * 3];
    const values = random(rows * width, 9, 0.1);
    const b = new WebGpuBackend(device, { ...SOFTWARE, rounding: "device" });
    const mixed = async function* (): AsyncGenerator<RowChunk> {
      yield* chunks(values.subarray(0, 4 * width), width, "F32");
      yield packRows(values.subarray(4 * width, 7 * width), width, "q4");
      yield* chunks(values.subarray(7 * width), width, "F32");
    };
    const { buffer, scales } = await store(b, { name: "w", shape: [rows, width], dtype: "q4" }, mixed());
    const host = packRows(values, width, "q4");
    expect(await bytesOf(device, buffer, host.bytes.length)).toEqual(host.bytes);
    expect((await bytesOf(device, scales!, scales!.size)).subarray(0, host.scales!.length)).toEqual(host.scales);
    b.dispose();
  });

  onGpu("are refused by name where one is not finite", { precision: "all" }, async ({ device }) => {
    for (const dtype of ["f16", "q8", "q4"] as const) {
      for (const [source, odd] of [
        ["F32", Number.NaN],
        ["F16", Number.NEGATIVE_INFINITY],
        ["BF16", Number.POSITIVE_INFINITY],
      ] as const) {
        if (dtype === "f16" && source === "F16") continue; // as it stands in the file, and never converted
        for (const rounding of ["device", "host"] as const) {
          const b = new WebGpuBackend(device, { ...SOFTWARE, rounding });
          const values = random(5 * 70, 3);
          const give = async (name: string) => b.weight({ name, shape: [5, 70], dtype }, chunks(values, 70, source));
          await give("good");
          await b.loaded();
          await give("fine");
          values[4 * 70 + 69] = odd;
          const failure = give("bad").then(() => b.loaded());
          await expect(failure, `${dtype} from ${source} on the ${rounding}`).rejects.toThrow(
            "bad: wanted finite weights, found others; the checkpoint is damaged, fetch it again.",
          );
          b.dispose();
        }
      }
    }
  });
});
