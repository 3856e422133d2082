import { SiglipError } from "../../support/error.ts";
import {
  attentionShape,
  type Backend,
  checkData,
  checkNorm,
  checkRows,
  type Epilogue,
  type Linear,
  linearShape,
  type Norm,
  padded,
  padRows,
  patchesShape,
  type RowChunk,
  rowCount,
  type Shape,
  type View,
  type WeightSpec,
} from "../backend.ts";
import { Arena } from "./arena.ts";
import { decode, type Trial } from "./choose.ts";
import { capabilitiesOf, isSoftware } from "./device.ts";
import type { Pinned, WebGpuOptions } from "./options.ts";
import { Queue } from "./queue.ts";
import type { Dispatch, Result } from "./steps.ts";
import { GpuTensor, type Storage } from "./tensor.ts";
import {
  ATTENTION,
  attentionForms,
  type Capabilities,
  constantsOf,
  fits,
  LINEAR,
  linearForms,
  queriesOf,
  rowClass,
} from "./tiles.ts";
import { Uploads } from "./uploads.ts";
import { rowBytes } from "./weights.ts";

export { type Pinned, SOFTWARE, type WebGpuOptions } from "./options.ts";

/** STORAGE, COPY_DST and COPY_SRC, whose names exist only where WebGPU does. */
const USAGE = 0x80 | 0x08 | 0x04;

/** The towers on a WebGPU device: everything between the input and `read` stays there. */
export class WebGpuBackend implements Backend<GpuTensor> {
  readonly name = "webgpu";
  readonly maxElements: number;
  private readonly capabilities: Capabilities;
  private readonly queue: Queue;
  private readonly arena: Arena;
  private readonly uploads: Uploads;
  /** Tensors made in the scopes that are open, innermost last. */
  private readonly scopes: GpuTensor[][] = [];

  private readonly pinned: Pinned;
  /** Precision of activations between operations. */
  readonly activations: Storage;

  /** `dispose` frees all buffers made here, but not the device. */
  constructor(device: GPUDevice, { activations = "f32", choices, rounding, ...pinned }: WebGpuOptions = {}) {
    if (activations === "f16" && !device.features.has("shader-f16")) {
      throw new SiglipError(`activations: wanted a device with shader-f16 for "f16", found none; use "f32".`);
    }
    for (const [what, name, known] of [
      ["linear", pinned.linear, LINEAR],
      ["attention", pinned.attention, ATTENTION],
    ] as const) {
      if (name !== undefined && !Object.hasOwn(known, name)) {
        throw new SiglipError(
          `forms.${what}: wanted one of ${Object.keys(known).join(", ")}, found ${JSON.stringify(name)}; pin one of these.`,
        );
      }
    }
    this.pinned = pinned;
    this.activations = activations;
    this.capabilities = capabilitiesOf(device, activations === "f16");
    this.queue = new Queue(device, choices);
    this.uploads = new Uploads(this.queue, rounding ?? (isSoftware(device.adapterInfo) ? "host" : "device"));
    this.maxElements = Math.floor(Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize) / 4);
    this.arena = new Arena((bytes) => this.queue.buffer(bytes, USAGE));
  }

  get bytes(): number {
    return this.queue.bytes;
  }

  get lost(): boolean {
    return this.queue.lost;
  }

  /** Trials of this session: by operation, shape and precision, what each form took. */
  get trials(): ReadonlyMap<string, readonly Trial[]> {
    return this.queue.trials;
  }

  async weight(spec: WeightSpec, chunks: AsyncIterable<RowChunk>): Promise<GpuTensor> {
    const stride = rowBytes(spec);
    const buffer = await this.allocate(spec, padded(spec.out) * stride.codes);
    const scales = stride.scales ? await this.allocate(spec, padded(spec.out) * stride.scales) : undefined;
    await this.uploads.fill(spec, chunks, buffer, scales);
    return new GpuTensor([spec.out, spec.in], spec.dtype, buffer, scales);
  }

  settle(): Promise<void> {
    return this.uploads.settle();
  }

  tensor(data: Float32Array, shape: Shape): GpuTensor {
    checkData(data, shape);
    const tensor = this.make(shape, "f32");
    const width = shape.at(-1)!;
    // Memory shared with other threads is copied: it may change, and runtimes do not all take it.
    const rows =
      width === tensor.stride && data.buffer instanceof ArrayBuffer
        ? (data as Float32Array<ArrayBuffer>)
        : padRows(data, width, tensor.stride);
    // A tensor that stays has a buffer of its own, which nothing recorded can still be using.
    if (this.scopes.length === 0) this.queue.device.queue.writeBuffer(tensor.buffer, 0, rows);
    else this.queue.write(tensor.buffer, rows);
    return tensor;
  }

  linear(x: GpuTensor, w: Linear<GpuTensor>, epilogue: Epilogue<GpuTensor> = {}): GpuTensor {
    const shape = linearShape(x.shape, w, epilogue);
    const y = this.make(shape, epilogue.exact ? "f32" : this.activations);
    const rows = rowCount(x.shape);
    const { weight, bias } = w;
    const addend = epilogue.add ?? bias;
    if (addend.storage !== "f32") {
      throw new SiglipError("linear: wanted an addend kept in float32, found half precision; make it with `exact`.");
    }
    const constants = {
      act: x.storage,
      result: y.storage,
      WEIGHTS: weight.storage.toUpperCase(),
      GELU: epilogue.gelu === true,
      ADD: epilogue.add !== undefined,
    };
    const names = this.pinned.linear ? [this.pinned.linear] : linearForms(rows, this.capabilities);
    const forms = names.map((name) => ({
      name,
      form: LINEAR[name],
      pipeline: () =>
        this.queue.pipeline(LINEAR[name].kernel, { ...constantsOf(LINEAR[name], this.capabilities), ...constants }),
    }));
    this.record(rows, 2 * x.stride * y.stride, (count) => ({
      key: `linear ${rowClass(rows)} rows ${x.stride} to ${y.stride} ${weight.storage} ${x.storage} ${y.storage}`,
      variants: forms.map(({ name, form, pipeline }) => ({
        name,
        pipeline,
        groups: [Math.ceil(y.stride / form.columns), Math.ceil(count / form.rows), 1],
      })),
      words: [count, x.stride, y.stride, rowCount(addend.shape)],
      buffers: [x.buffer, weight.buffer, weight.scales ?? bias.buffer, bias.buffer, addend.buffer, y.buffer],
      result: this.result(y, count),
    }));
    return y;
  }

  layerNorm(x: GpuTensor, w: Norm<GpuTensor>): GpuTensor {
    checkNorm(x.shape, w);
    const y = this.make(x.shape, this.activations);
    const rows = rowCount(x.shape);
    this.queue.dispatch({
      key: "layer_norm",
      variants: [
        {
          name: "rows",
          pipeline: () => this.queue.pipeline("layer_norm", { act: x.storage, result: y.storage }),
          groups: perRow(rows),
        },
      ],
      result: this.result(y, rows),
      words: [rows, x.shape.at(-1)!, x.stride, floatBits(w.eps)],
      buffers: [x.buffer, w.weight.buffer, w.bias.buffer, y.buffer],
      work: 8 * rows * x.stride,
    });
    return y;
  }

  attention(q: View<GpuTensor>, k: View<GpuTensor>, v: View<GpuTensor>, heads: number): GpuTensor {
    const { batch, queries, keys, width, head } = attentionShape(q, k, v, heads);
    const y = this.make([batch, queries, width], this.activations);
    const act = q.tensor.storage;
    if (k.tensor.storage !== act || v.tensor.storage !== act) {
      throw new SiglipError(
        "attention: wanted q, k and v of one precision, found several; make them by the same operation.",
      );
    }
    const { attention: pinned } = this.pinned;
    const names =
      pinned && queries > 1 && fits(ATTENTION[pinned], head, this.capabilities.memory)
        ? [pinned]
        : attentionForms(head, queries, this.capabilities);
    const forms = names.map((name) => ({
      name,
      pipeline: () =>
        this.queue.pipeline(ATTENTION[name].kernel, {
          ...constantsOf(ATTENTION[name], this.capabilities),
          HEAD: head,
          act,
          result: y.storage,
        }),
    }));
    this.record(batch, 4 * queries * keys * width, (count) => ({
      key: `attention ${rowClass(batch * queries)} rows ${keys} keys ${heads} heads of ${head} ${act}`,
      variants: forms.map(({ name, pipeline }) => ({
        name,
        pipeline,
        groups: [Math.ceil(queries / queriesOf(ATTENTION[name], this.capabilities)), heads, count],
      })),
      words: [
        queries,
        keys,
        heads,
        q.tensor.shape[0] === 1 ? 0 : queries,
        q.tensor.stride,
        q.offset,
        k.tensor.stride,
        k.offset,
        v.tensor.stride,
        v.offset,
        y.stride,
        floatBits(1 / Math.sqrt(head)),
      ],
      buffers: [q.tensor.buffer, k.tensor.buffer, v.tensor.buffer, y.buffer],
      result: this.result(y, count * queries),
    }));
    return y;
  }

  rows(x: GpuTensor, indices: readonly number[]): GpuTensor {
    checkRows(x.shape, indices);
    const y = this.make([indices.length, x.shape.at(-1)!], x.storage === "f16" ? "f16" : "f32");
    const bytes = x.stride * (x.storage === "f16" ? 2 : 4);
    for (const [row, index] of indices.entries()) {
      this.queue.copy({ from: x.buffer, at: index * bytes, to: y.buffer, toAt: row * bytes, bytes });
    }
    return y;
  }

  patches(x: GpuTensor, patch: number): GpuTensor {
    const y = this.make(patchesShape(x.shape, patch), "f32");
    const rows = rowCount(y.shape);
    this.queue.dispatch({
      key: "patches",
      variants: [{ name: "patches", pipeline: () => this.queue.pipeline("patches", {}), groups: perRow(rows) }],
      result: this.result(y, rows),
      words: [rows, y.stride, y.shape[2], x.shape[2], x.stride, patch],
      buffers: [x.buffer, y.buffer],
      work: rows * y.stride,
    });
    return y;
  }

  scope<R>(body: () => R): R {
    const made: GpuTensor[] = [];
    if (this.scopes.length === 0) this.arena.begin();
    this.scopes.push(made);
    let result: R | undefined;
    try {
      result = body();
      return result;
    } finally {
      this.scopes.pop();
      for (const tensor of made) {
        if (tensor === result) this.scopes.at(-1)?.push(tensor);
        else this.arena.give(tensor.buffer);
      }
    }
  }

  async read(x: GpuTensor, signal?: AbortSignal): Promise<Float32Array> {
    const rows = rowCount(x.shape);
    const width = x.shape.at(-1)!;
    const stride = x.stride;
    const { bytes, storage } = this.result(x, rows);
    const replaced = this.arena.takeReplaced();
    const contents = decode(
      await this.queue.read(x.buffer, bytes, signal).finally(() => {
        for (const buffer of replaced) this.queue.free(buffer);
      }),
      storage,
    );
    if (width === stride) return contents;
    const out = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      out.set(contents.subarray(row * stride, row * stride + width), row * width);
    }
    return out;
  }

  dispose(): void {
    this.queue.dispose();
  }

  /** Records work on `count` rows or items that may be cut up, and tried out on its beginning. */
  private record(count: number, workEach: number, describe: (count: number) => Omit<Dispatch, "work">): void {
    const part = (work: number): Dispatch => {
      const some = Math.min(count, Math.max(1, Math.floor(work / workEach)));
      return { ...describe(some), work: some * workEach, split: true, part };
    };
    this.queue.dispatch(part(Number.POSITIVE_INFINITY));
  }

  /** The first `rows` rows of a tensor of activations as the result of a dispatch. */
  private result(y: GpuTensor, rows: number): Result {
    const storage = y.storage === "f16" ? "f16" : "f32";
    return { bytes: rows * y.stride * (storage === "f16" ? 2 : 4), storage, precision: this.activations };
  }

  /** A tensor in the innermost scope; outside of all, one that stays. */
  private make(shape: Shape, storage: Storage): GpuTensor {
    const bytes = rowCount(shape) * padded(shape.at(-1)!) * (storage === "f32" ? 4 : 2);
    if (bytes > this.maxElements * 4) {
      throw new SiglipError(
        `A tensor of [${shape.join(", ")}] was wanted, ${bytes} bytes, found a device that binds at most ${this.maxElements * 4}; run the batch in parts.`,
      );
    }
    this.queue.check();
    const scope = this.scopes.at(-1);
    const tensor = new GpuTensor(shape, storage, scope ? this.arena.take(bytes) : this.queue.buffer(bytes, USAGE));
    scope?.push(tensor);
    return tensor;
  }

  private async allocate(spec: WeightSpec, bytes: number): Promise<GPUBuffer> {
    if (bytes > this.maxElements * 4) {
      throw new SiglipError(
        `${spec.name}: wanted ${bytes} bytes for [${spec.out}, ${spec.in}], found a device that binds at most ${this.maxElements * 4}; choose a smaller dtype.`,
      );
    }
    this.queue.check();
    const held = this.bytes;
    const { buffer, failed } = this.queue.tryBuffer(bytes, USAGE);
    if (!(await failed)) return buffer;
    const { smaller } = spec;
    const advice = smaller
      ? `load with dtype "${smaller.dtype}", which needs ${smaller.bytes} bytes for all weights`
      : `load one tower only, or with backend "cpu"`;
    throw new SiglipError(
      `${spec.name}: wanted ${bytes} bytes more for [${spec.out}, ${spec.in}] as ${spec.dtype} beside the ${held} held, found no room on the device; ${advice}.`,
    );
  }
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** A float's place among the u32 words of a uniform. */
function floatBits(value: number): number {
  float[0] = value;
  return word[0];
}

/** One workgroup a row, in two dimensions where there are more than one dimension holds. */
function perRow(rows: number): [number, number, number] {
  const across = Math.min(rows, 32768);
  return [across, Math.ceil(rows / across), 1];
}
