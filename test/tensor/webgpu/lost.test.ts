import { afterEach, describe, expect, vi } from "vitest";
import { findGpu } from "../../../src/node/gpu.ts";
import { Siglip } from "../../../src/node.ts";
import { onGpu } from "../../harness/cases.ts";

const text = "two cats";
/** In the forms that compile fastest, as every new device has to do it anew. */
const forms = { linear: "direct", attention: "4x2" } as const;
const options = { backend: "webgpu", dtype: "f32", towers: ["text"], forms } as const;

/** Every device that is made from now on, as the library asks for it; `refuse` is thrown instead when it is set. */
async function watchDevices(): Promise<{ devices: GPUDevice[]; refuse?: Error }> {
  const watched: { devices: GPUDevice[]; refuse?: Error } = { devices: [] };
  const gpu = (await findGpu())!;
  const ask = gpu.requestAdapter.bind(gpu);
  vi.spyOn(gpu, "requestAdapter").mockImplementation(async (wanted) => {
    const adapter = await ask(wanted);
    if (!adapter) return adapter;
    const make = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => {
      if (watched.refuse) throw watched.refuse;
      const device = await make(descriptor);
      watched.devices.push(device);
      return device;
    };
    return adapter;
  });
  return watched;
}

/** Buffers of a device that are not destroyed. */
function liveBuffers(device: GPUDevice): Set<GPUBuffer> {
  const live = new Set<GPUBuffer>();
  const create = device.createBuffer.bind(device);
  vi.spyOn(device, "createBuffer").mockImplementation((descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    live.add(buffer);
    buffer.destroy = () => {
      live.delete(buffer);
      return destroy();
    };
    return buffer;
  });
  return live;
}

afterEach(() => vi.restoreAllMocks());

describe("a lost device", () => {
  onGpu("fails the calls that run, and the next ones share a new device", { precision: "f32" }, async () => {
    const watched = await watchDevices();
    const model = await Siglip.load("demo", options);
    const expected = await model.embedTexts([text]);
    const queue: GPUQueue = Object.getPrototypeOf(watched.devices[0].queue);
    vi.spyOn(queue, "submit").mockImplementationOnce(() => watched.devices[0].destroy());
    const running = model.embedTexts([text]);
    await expect(running).rejects.toThrow(
      /^The WebGPU device was wanted but it was lost \(destroyed.*\); call again\.$/,
    );
    const [one, two] = await Promise.all([model.embedTexts([text]), model.embedTexts([text])]);
    expect(one).toEqual(expected);
    expect(two).toEqual(expected);
    expect(watched.devices).toHaveLength(2);
    // And once more: a loss is answered once, not the first alone.
    watched.devices[1].destroy();
    await watched.devices[1].lost;
    expect(await model.embedTexts([text])).toEqual(expected);
    expect(watched.devices).toHaveLength(3);
    model.dispose();
  });

  onGpu("is asked for again after no new one could be had", { precision: "f32" }, async () => {
    const watched = await watchDevices();
    const model = await Siglip.load("demo", options);
    const expected = await model.embedTexts([text]);
    watched.devices[0].destroy();
    await watched.devices[0].lost;
    watched.refuse = new Error("the driver is gone");
    await expect(model.embedTexts([text])).rejects.toThrow(/the driver is gone/);
    await expect(model.embedTexts([text])).rejects.toThrow(/the driver is gone/);
    watched.refuse = undefined;
    expect(await model.embedTexts([text])).toEqual(expected);
    model.dispose();
    await expect(model.embedTexts([text])).rejects.toThrow(/disposed/);
  });

  onGpu("leaves nothing behind where the model is disposed while it is rebuilt", { precision: "f32" }, async () => {
    const watched = await watchDevices();
    const model = await Siglip.load("demo", options);
    watched.devices[0].destroy();
    await watched.devices[0].lost;
    const waiting = model.embedTexts([text]);
    const abort = new AbortController();
    const aborted = model.embedTexts([text], { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    model.dispose();
    await expect(waiting).rejects.toThrow(/disposed/);
    expect(watched.devices).toHaveLength(2);
    expect((await watched.devices[1].lost).reason).toBe("destroyed");
  });

  onGpu("that the caller gave is the caller's to replace", { precision: "f32" }, async () => {
    const adapter = (await (await findGpu())!.requestAdapter())!;
    const device = await adapter.requestDevice();
    const model = await Siglip.load("demo", { ...options, device });
    device.destroy();
    await device.lost;
    await expect(model.embedTexts([text])).rejects.toThrow(
      /wanted the GPUDevice given to Siglip.load, found that it was lost/,
    );
    model.dispose();
  });
});

describe("a device without room", () => {
  onGpu("names the tensor, the sizes and what would fit, and gives everything back", { precision: "f32" }, async () => {
    const device = await (await (await findGpu())!.requestAdapter())!.requestDevice();
    const live = liveBuffers(device);
    const pop = device.popErrorScope.bind(device);
    vi.spyOn(device, "popErrorScope").mockImplementation(async () => {
      const taken = [...live].reduce((sum, { size }) => sum + size, 0);
      return (await pop()) ?? (taken > 2 ** 20 ? ({ message: "full" } as GPUError) : null);
    });
    await expect(Siglip.load("demo", { ...options, device })).rejects.toThrow(
      /^text_model\.[\w.]+\.weight: wanted \d+ bytes more for \[\d+, \d+\] as f32 beside the \d+ held, found no room on the device; load with dtype "f16", which needs \d+ bytes for all weights\.$/,
    );
    expect(live.size).toBe(0);
    device.destroy();
  });
});

describe("an aborted load", () => {
  onGpu("gives back what it took of the device", { precision: "f32" }, async () => {
    const device = await (await (await findGpu())!.requestAdapter())!.requestDevice();
    const live = liveBuffers(device);
    const abort = new AbortController();
    const onProgress = ({ loaded, total }: { loaded: number; total: number }) => {
      if (loaded > total / 2) abort.abort(new Error("enough"));
    };
    const { signal } = abort;
    await expect(Siglip.load("demo", { ...options, device, signal, onProgress })).rejects.toThrow("enough");
    expect(device.createBuffer).toHaveBeenCalled();
    expect(live.size).toBe(0);
    device.destroy();
  });
});
