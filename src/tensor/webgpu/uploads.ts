import type { HostRounding } from "../host-rounding.ts";
import { checkChunk, notFinite, type RowChunk, type WeightSpec, wrongRows } from "../packing.ts";
import { storedAs } from "../program.ts";
import { GROUP, padded } from "../shape.ts";
import type { WebGpuOptions } from "./options.ts";
import type { Queue } from "./queue.ts";
import { isStored, rowBytes, store } from "./weights.ts";

/** Bytes that may be on their way to the device. */
const AHEAD = 32 * 2 ** 20;

/** Weights that may be. */
const FLAGS = 1024;

/** Groups that a workgroup of kernels/convert.wgsl makes. */
const GROUPS = 128;

/** Weights on their way to the device, rounded there or here. */
export class Uploads {
  private readonly queue: Queue;
  private readonly rounding: "device" | "host";
  private readonly threading: WebGpuOptions["threading"];
  private host: HostRounding | undefined;
  private ahead = 0;
  /** Weights that are being rounded on the device, each at the place of its flag. */
  private names: string[] = [];
  /** Rows as they stand in the file. One is enough: the device writes and reads it in the order of submission. */
  private staging: GPUBuffer | undefined;
  private flags: GPUBuffer | undefined;
  /** What is bound as scales where there are none. */
  private none: GPUBuffer | undefined;

  constructor(queue: Queue, rounding: "device" | "host", threading: WebGpuOptions["threading"]) {
    this.queue = queue;
    this.rounding = rounding;
    this.threading = threading;
  }

  /** Fills a weight's buffers. Rejects where the chunks are not the rows that the weight has. */
  async fill(
    spec: WeightSpec,
    chunks: AsyncIterable<RowChunk>,
    buffer: GPUBuffer,
    scales: GPUBuffer | undefined,
  ): Promise<void> {
    const { queue } = this.queue.device;
    const stride = rowBytes(spec);
    // Scales of an odd number of groups a row do not fall on words, so they are gathered and written at the end.
    const out = spec.shape[0];
    const gathered = new Uint8Array(padded(out) * stride.scales);
    let onDevice = this.rounding === "device";
    let row = 0;
    for await (const chunk of chunks) {
      checkChunk(spec, chunk);
      if (row + chunk.rows > out) throw wrongRows(spec, row + chunk.rows);
      if (chunk.scales && onDevice) {
        onDevice = false;
        if (row > 0) gathered.set(await this.read(scales!, gathered.length));
      }
      if (onDevice && !isStored(chunk, spec)) await this.round(chunk, spec, row, buffer, scales);
      else {
        const rows = store(await this.rounded(chunk, spec), spec);
        this.queue.check();
        queue.writeBuffer(buffer, row * stride.codes, rows.bytes as Uint8Array<ArrayBuffer>);
        if (rows.scales) gathered.set(rows.scales, row * stride.scales);
      }
      row += chunk.rows;
      this.ahead += chunk.bytes.length;
      if (this.ahead >= AHEAD || this.names.length === FLAGS) await this.wait();
    }
    if (row !== out) throw wrongRows(spec, row);
    if (scales && !onDevice) queue.writeBuffer(scales, 0, gathered);
  }

  /** Ends what rounds on the host. */
  end(): void {
    this.host?.close();
  }

  /** Waits for everything, and frees what only uploads need. Rejects where a weight that was rounded was not finite. */
  async settle(): Promise<void> {
    await this.wait();
    this.end();
    for (const buffer of [this.staging, this.flags, this.none]) if (buffer) this.queue.free(buffer);
    this.staging = this.flags = this.none = undefined;
  }

  /** A chunk of floats in the precision of its weight, by the host. */
  private async rounded(chunk: RowChunk, spec: WeightSpec): Promise<RowChunk> {
    const as = storedAs(spec.dtype);
    if (chunk.scales || isStored(chunk, spec) || as === "f32") return chunk;
    this.host ??= new (await import("../host-rounding.ts")).HostRounding(this.threading);
    return this.host.round(chunk, spec.shape[1], as, spec.name);
  }

  private async wait(): Promise<void> {
    const names = this.names;
    this.names = [];
    this.ahead = 0;
    if (!this.flags || names.length === 0) {
      await this.queue.device.queue.onSubmittedWorkDone();
      return this.queue.check();
    }
    const flags = new Uint32Array((await this.read(this.flags, 4 * names.length)).buffer);
    const bad = names.find((_, index) => flags[index] !== 0);
    if (bad === undefined) return;
    // The next begins at zero.
    this.queue.free(this.flags);
    this.flags = undefined;
    throw notFinite(bad);
  }

  private async read(buffer: GPUBuffer, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const [contents] = await this.queue.run([], [{ buffer, bytes }]);
    return new Uint8Array(contents);
  }

  private async round(
    { bytes, dtype, rows }: RowChunk,
    spec: WeightSpec,
    row: number,
    buffer: GPUBuffer,
    scales: GPUBuffer | undefined,
  ): Promise<void> {
    const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
    const depth = spec.shape[1];
    const constants = { SOURCE: dtype, WEIGHTS: spec.dtype.toUpperCase() };
    const pipeline = this.queue.pipelines.get("convert", constants);
    const compiled = await this.queue.compiled(pipeline);
    this.queue.check();
    const words = Math.ceil(bytes.length / 4) * 4;
    if (this.staging && this.staging.size < words) {
      this.queue.free(this.staging);
      this.staging = undefined;
    }
    this.staging ??= this.queue.buffer(words, STORAGE | COPY_DST);
    this.flags ??= this.queue.buffer(4 * FLAGS, STORAGE | COPY_SRC);
    this.none ??= this.queue.buffer(4, STORAGE);
    if (this.names.at(-1) !== spec.name) this.names.push(spec.name);
    const groups = padded(depth) / GROUP;
    const [first, end] = [row * groups, (row + rows) * groups];
    const pairs = Math.ceil(end / 2) - Math.floor(first / 2);
    this.queue.device.queue.writeBuffer(this.staging, 0, wholeWords(bytes, words));
    this.queue.encode(
      [
        {
          kind: "run",
          pipeline,
          words: [depth, groups, first, end, this.names.length - 1],
          buffers: [this.staging, buffer, scales ?? this.none, this.flags],
          groups: [Math.ceil((2 * pairs) / GROUPS), 1, 1],
          work: 0,
          split: false,
        },
      ],
      new Map([[pipeline, compiled]]),
    );
  }
}

/** A buffer is written in words of four bytes. */
function wholeWords(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  if (bytes.length === length) return bytes as Uint8Array<ArrayBuffer>;
  const out = new Uint8Array(length);
  out.set(bytes);
  return out;
}
