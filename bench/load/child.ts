// One measurement in a process of its own, so that its largest resident size is its own: prints one line of JSON.
// usage: child.ts load|write|baseline FOLDER f32|f16|q8|q4 TOWERS BYTES [device|host]
import { openCheckpoint, readConfig } from "../../src/files/read-model.ts";
import { loadTowers, type Tower } from "../../src/model/towers.ts";
import { folderFiles } from "../../src/node/folder.ts";
import { findGpu } from "../../src/node/gpu.ts";
import { nodeThreads } from "../../src/node/threads.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { openDevice } from "../../src/tensor/webgpu/device.ts";
import { deviceOptions } from "../../src/tensor/webgpu/open.ts";
import { adapterOf } from "../lib/device.ts";

/** What a child found; seconds and bytes. */
export interface Found {
  readonly seconds: number;
  /** Largest resident size of the process. */
  readonly peak: number;
  /** What the backend says that it holds in the end. */
  readonly held: number;
  /** Bytes given to `writeBuffer`. */
  readonly written: number;
  readonly adapter: ReturnType<typeof adapterOf>;
}

const [what, folder, dtype, towers, bytes, rounding] = process.argv.slice(2);
const opened = await openDevice(await findGpu());
if (!opened) throw new Error("a WebGPU adapter was wanted, none found");
const { device } = opened;

let written = 0;
const write = device.queue.writeBuffer.bind(device.queue);
device.queue.writeBuffer = (buffer, offset, data, from = 0, size) => {
  const view = ArrayBuffer.isView(data) ? data : new Uint8Array(data);
  const unit = "BYTES_PER_ELEMENT" in view ? (view.BYTES_PER_ELEMENT as number) : 1;
  written += size === undefined ? view.byteLength - from * unit : size * unit;
  write(buffer, offset, data, from, size);
};

let found = { seconds: 0, held: 0 };
if (what === "load") found = await load();
if (what === "write") found = await writeBytes();
const peak = process.resourceUsage().maxRSS * 1024;
const line: Found = { ...found, written, peak, adapter: adapterOf(opened) };
// Dawn keeps the process alive.
process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0));

/** From the open file to weights on the device, waited for. */
async function load(): Promise<{ seconds: number; held: number }> {
  const backend = new WebGpuBackend(device, {
    ...deviceOptions(device, opened!.software, dtype as WeightDType),
    threading: nodeThreads,
    ...(rounding ? { rounding: rounding as "device" | "host" } : {}),
  });
  const files = await folderFiles(folder);
  const config = await readConfig(files);
  const started = performance.now();
  const checkpoint = await openCheckpoint(files);
  await loadTowers(backend, checkpoint, config, {
    dtype: dtype as WeightDType,
    towers: towers.split(",") as Tower[],
  });
  await files.close();
  await device.queue.onSubmittedWorkDone();
  return { seconds: (performance.now() - started) / 1000, held: backend.bytes };
}

/** As many bytes through `writeBuffer` as a load gave it, 4 MiB at a time, into one buffer. */
async function writeBytes(): Promise<{ seconds: number; held: number }> {
  const chunk = new Uint8Array(4 * 2 ** 20).map((_, i) => i * 31);
  const buffer = device.createBuffer({ size: chunk.length, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, chunk);
  await device.queue.onSubmittedWorkDone();
  const started = performance.now();
  for (let left = Number(bytes); left > 0; left -= chunk.length) {
    device.queue.writeBuffer(buffer, 0, chunk, 0, Math.min(left, chunk.length));
    // Without this an implementation may hold every chunk until the next submit.
    device.queue.submit([]);
  }
  await device.queue.onSubmittedWorkDone();
  return { seconds: (performance.now() - started) / 1000, held: 0 };
}
