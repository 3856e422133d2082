import { describe, expect, vi } from "vitest";
import { Checkpoint } from "../../../src/checkpoint/checkpoint.ts";
import { loadTowers } from "../../../src/model/towers.ts";
import { Recorder } from "../../../src/tensor/program.ts";
import { WebGpuBackend } from "../../../src/tensor/webgpu/backend.ts";
import { SOFTWARE } from "../../../src/tensor/webgpu/options.ts";
import { Queue } from "../../../src/tensor/webgpu/queue.ts";
import { onGpu } from "../../harness/cases.ts";
import { openGolden } from "../../harness/golden.ts";
import { forTest } from "../../harness/gpu.ts";
import { syntheticSource } from "../../judge/synthetic.ts";

async function tiny(device: GPUDevice, forms = forTest(device)) {
  const golden = await openGolden("tiny-hd72");
  const backend = new WebGpuBackend(device, forms);
  const checkpoint = await Checkpoint.open([syntheticSource(golden.config)]);
  const towers = await loadTowers(backend, checkpoint, golden.config, { dtype: "f16", towers: ["image", "text"] });
  return { golden, backend, towers, pixels: (await golden.values("pixel_values")).data };
}

/** The first of two pictures, so many times over. */
function repeated(pixels: Float32Array, count: number): Float32Array {
  const item = pixels.subarray(0, pixels.length / 2);
  return Float32Array.from({ length: count * item.length }, (_, i) => item[i % item.length]);
}

describe("the webgpu backend", () => {
  onGpu("makes nothing anew in a second forward of the same batch", { precision: "f16" }, async ({ device }) => {
    const { backend, towers, pixels } = await tiny(device);
    const first = await towers.image(pixels);
    const before = backend.bytes;
    const spies = (
      ["createBuffer", "createBindGroup", "createShaderModule", "createComputePipelineAsync"] as const
    ).map((name) => vi.spyOn(device, name));
    const second = await towers.image(pixels);
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
    vi.restoreAllMocks();
    expect(backend.bytes).toBe(before);
    expect(second.data).toEqual(first.data);
    backend.dispose();
    expect(backend.bytes).toBe(0);
  });

  onGpu(
    "holds what the largest batch needs, whatever batches came before",
    { precision: "f16" },
    async ({ device }) => {
      const largest = await tiny(device);
      const weights = largest.backend.bytes;
      const alone = await largest.towers.image(repeated(largest.pixels, 5));
      const { backend, towers, pixels } = await tiny(device);
      expect(backend.bytes).toBe(weights);
      const held: number[] = [];
      for (const count of [1, 3, 2, 4, 1, 5, 2, 4, 5, 1, 3, 2]) {
        const { data } = await towers.image(repeated(pixels, count));
        // All items are the same picture, and come out alike whatever the batch.
        expect(data).toEqual(alone.data.subarray(0, data.length));
        held.push(backend.bytes - weights);
      }
      // As many buffers, though one may be larger where another of its size was in use.
      expect(held[5]).toBeLessThan(1.25 * (largest.backend.bytes - weights));
      expect(held.slice(6)).toEqual(new Array(6).fill(held[5]));
      backend.dispose();
      largest.backend.dispose();
    },
  );

  onGpu(
    "keeps no more uniforms than it needs, however often work is cut up anew",
    { precision: "f32" },
    async (gpu) => {
      const queue = new Queue(gpu.device);
      const buffer = queue.buffer(16, GPUBufferUsage.COPY_SRC);
      for (let round = 0; round < 3; round++) {
        for (let i = 0; i < 9000; i++) queue.pipelines.constant([round, i]);
        await queue.run([], [{ buffer, bytes: 16 }]);
      }
      // The buffer and what is read through, of 16 bytes each.
      expect(queue.bytes).toBe(2 * 16);
      queue.dispose();
    },
  );

  onGpu("takes seven dispatches a layer and nine more for an image", { precision: "f16" }, async ({ device }) => {
    const { golden, backend, towers, pixels } = await tiny(device);
    await towers.image(pixels);
    const submit = vi.spyOn(device.queue, "submit");
    let dispatches = 0;
    const encode = device.createCommandEncoder.bind(device);
    vi.spyOn(device, "createCommandEncoder").mockImplementation((descriptor) => {
      const encoder = encode(descriptor);
      const begin = encoder.beginComputePass.bind(encoder);
      encoder.beginComputePass = (options) => {
        const pass = begin(options);
        const dispatch = pass.dispatchWorkgroups.bind(pass);
        pass.dispatchWorkgroups = (...groups) => {
          dispatches++;
          return dispatch(...groups);
        };
        return pass;
      };
      return encoder;
    });
    await towers.image(pixels);
    // What was written before and what is read afterwards belong to it.
    expect(submit).toHaveBeenCalledTimes(1);
    vi.restoreAllMocks();
    // So400m with its 27 layers is at 198 by the same count.
    expect(dispatches).toBe(7 * golden.config.vision.layers + 9);
    backend.dispose();
  });

  onGpu("submits more at a time the faster a device shows itself", { precision: "f16" }, async ({ device }) => {
    const { backend, towers, pixels } = await tiny(device, SOFTWARE);
    const submit = vi.spyOn(device.queue, "submit");
    let [now, tick] = [0, 1000];
    vi.spyOn(performance, "now").mockImplementation(() => (now += tick));
    const slow = await towers.image(repeated(pixels, 14));
    expect(submit.mock.calls.length).toBeGreaterThan(1);
    tick = 1e-6;
    await towers.image(repeated(pixels, 14));
    submit.mockClear();
    const fast = await towers.image(repeated(pixels, 14));
    expect(submit).toHaveBeenCalledTimes(1);
    vi.restoreAllMocks();
    expect(fast).toEqual(slow);
    backend.dispose();
  });

  onGpu("submits nothing more once a forward is aborted", { precision: "f16" }, async ({ device }) => {
    const { backend, towers, pixels } = await tiny(device, SOFTWARE);
    const abort = new AbortController();
    const submit = device.queue.submit.bind(device.queue);
    const spy = vi.spyOn(device.queue, "submit").mockImplementation((buffers) => {
      abort.abort(new Error("enough"));
      return submit(buffers);
    });
    // Of as many pictures as take several submits, see above.
    const running = towers.image(repeated(pixels, 14), { signal: abort.signal });
    await expect(running).rejects.toThrow("enough");
    expect(spy).toHaveBeenCalledTimes(1);
    vi.restoreAllMocks();
    backend.dispose();
  });

  onGpu("rejects an aborted forward and serves the next one", { precision: "f16" }, async ({ device }) => {
    const { backend, towers, pixels } = await tiny(device);
    const expected = await towers.image(pixels);
    const abort = new AbortController();
    const running = towers.image(pixels, { signal: abort.signal });
    const beside = towers.image(pixels);
    abort.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
    expect((await beside).data).toEqual(expected.data);
    expect((await towers.image(pixels)).data).toEqual(expected.data);
    backend.dispose();
  });

  onGpu("runs a batch in parts where its activations exceed a binding", { precision: "f32" }, async ({ device }) => {
    const { golden, backend, towers, pixels } = await tiny(device);
    const whole = await towers.image(pixels, { tap: () => {} });
    // Room for one picture, not for two.
    Object.defineProperty(backend, "maxElements", { value: 16 * (588 + 128) });
    const shapes: string[] = [];
    const parts = await towers.image(pixels, { tap: (name, { shape }) => shapes.push(`${name} ${shape}`) });
    expect(parts).toEqual(whole);
    expect(shapes).toHaveLength(golden.config.vision.layers + 2);
    expect(shapes.every((shape) => shape.endsWith(" 2,16,144"))).toBe(true);
    backend.dispose();
  });

  onGpu("takes pixels from memory that threads share", { precision: "f32" }, async ({ device }) => {
    const { backend, towers, pixels } = await tiny(device);
    const shared = new Float32Array(new SharedArrayBuffer(pixels.byteLength));
    shared.set(pixels);
    expect(await towers.image(shared)).toEqual(await towers.image(pixels));
    const padded = new Float32Array(new SharedArrayBuffer(128)).fill(3);
    const p = new Recorder();
    p.output("x", p.input("x", [32]));
    expect((await backend.run(p.finish(), { x: padded })).x).toEqual(new Float32Array(32).fill(3));
    backend.dispose();
  });

  onGpu("tells of a disposed backend in one sentence", { precision: "f32" }, async ({ device }) => {
    const { backend, towers, pixels } = await tiny(device);
    const running = towers.image(pixels);
    backend.dispose();
    await expect(running).rejects.toThrow(/disposed/);
    await expect(towers.image(pixels)).rejects.toThrow(/disposed/);
  });

  onGpu("refuses tensors that no binding holds, before memory is taken", { precision: "f32" }, async ({ device }) => {
    const backend = new WebGpuBackend(device, forTest(device));
    const spec = { name: "huge", shape: [2 ** 15, 2 ** 15], dtype: "f32" } as const;
    const none = async function* () {};
    await expect(backend.weight(spec, none())).rejects.toThrow(/huge: wanted 4294967296 bytes/);
    await expect(backend.weight({ ...spec, shape: [4, 4] }, none())).rejects.toThrow(/wanted 4 rows, found 0/);
    backend.dispose();
  });
});
