/** What one dispatch took on the device. */
export interface Span {
  /** The pipeline's label: the kernel's name and its constants. */
  readonly label: string;
  /** Seconds; NaN where the device has no timestamps. */
  readonly seconds: number;
}

interface Compile {
  readonly from: number;
  to: number;
}

/** Queries of one set; the most that WebGPU allows. */
const QUERIES = 4096;

/**
 * A device that behaves as the one it wraps and can tell what every dispatch took. Nothing inside a backend knows of it: while
 * `record` runs, each dispatch gets a compute pass of its own with two timestamps; otherwise calls go straight through.
 */
export class Profile {
  readonly device: GPUDevice;
  readonly timestamps: boolean;
  private readonly real: GPUDevice;
  private readonly labels = new WeakMap<GPUComputePipeline, string>();
  private readonly compiles: Compile[] = [];
  private readonly sets: GPUQuerySet[] = [];
  private dispatched: string[] | undefined;
  private whole = false;

  constructor(real: GPUDevice) {
    this.real = real;
    this.timestamps = real.features.has("timestamp-query");
    this.device = replaced(real, {
      createCommandEncoder: (descriptor?: GPUCommandEncoderDescriptor) => this.encoder(descriptor),
      createComputePipelineAsync: (descriptor: GPUComputePipelineDescriptor) => this.compile(descriptor),
    });
  }

  /**
   * What `work` dispatched until it resolved; it has to wait for the device itself. `whole` leaves passes as they are: a span is
   * one of them, of no label.
   */
  async record(work: () => Promise<unknown>, whole = false): Promise<Span[]> {
    const labels: string[] = [];
    this.dispatched = labels;
    this.whole = whole;
    try {
      await work();
    } finally {
      this.dispatched = undefined;
    }
    if (!this.timestamps) return labels.map((label) => ({ label, seconds: Number.NaN }));
    const times = await this.resolve(2 * labels.length);
    return labels.map((label, i) => ({ label, seconds: Number(times[2 * i + 1] - times[2 * i]) / 1e9 }));
  }

  /** Pipelines compiled so far, and the seconds during which at least one was being compiled. */
  compiled(): { pipelines: number; seconds: number } {
    let [total, until] = [0, 0];
    for (const { from, to } of this.compiles.toSorted((a, b) => a.from - b.from)) {
      total += Math.max(0, to - Math.max(from, until));
      until = Math.max(until, to);
    }
    return { pipelines: this.compiles.length, seconds: total / 1000 };
  }

  private async compile(descriptor: GPUComputePipelineDescriptor): Promise<GPUComputePipeline> {
    const entry = { from: performance.now(), to: Number.NaN };
    const pipeline = await this.real.createComputePipelineAsync(descriptor);
    entry.to = performance.now();
    this.compiles.push(entry);
    this.labels.set(pipeline, descriptor.label ?? "");
    return pipeline;
  }

  private encoder(descriptor?: GPUCommandEncoderDescriptor): GPUCommandEncoder {
    const encoder = this.real.createCommandEncoder(descriptor);
    const dispatched = this.dispatched;
    if (!dispatched) return encoder;
    const wholePass = () => {
      const pass = encoder.beginComputePass(this.timed(dispatched.length));
      dispatched.push("");
      return pass;
    };
    return replaced(encoder, { beginComputePass: this.whole ? wholePass : () => this.pass(encoder, dispatched) });
  }

  /** A pass that begins and ends around every dispatch. */
  private pass(encoder: GPUCommandEncoder, dispatched: string[]): GPUComputePassEncoder {
    let pipeline: GPUComputePipeline;
    const binds = new Map<number, unknown[]>();
    const pass = {
      setPipeline: (next: GPUComputePipeline) => {
        pipeline = next;
      },
      setBindGroup: (index: number, ...rest: unknown[]) => void binds.set(index, rest),
      dispatchWorkgroups: (...groups: [number, number?, number?]) => {
        const real = encoder.beginComputePass(this.timed(dispatched.length));
        real.setPipeline(pipeline);
        for (const [index, rest] of binds) real.setBindGroup(index, ...(rest as [GPUBindGroup]));
        real.dispatchWorkgroups(...groups);
        real.end();
        dispatched.push(this.labels.get(pipeline) ?? pipeline.label);
      },
      end() {},
    };
    return pass as unknown as GPUComputePassEncoder;
  }

  /** How the pass of a span begins: with its two timestamps, where there are any. */
  private timed(dispatch: number): GPUComputePassDescriptor {
    if (!this.timestamps) return {};
    const set = Math.floor((2 * dispatch) / QUERIES);
    this.sets[set] ??= this.real.createQuerySet({ type: "timestamp", count: QUERIES });
    const first = (2 * dispatch) % QUERIES;
    const querySet = this.sets[set];
    return { timestampWrites: { querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 } };
  }

  private async resolve(count: number): Promise<BigUint64Array> {
    if (count === 0) return new BigUint64Array();
    const size = 8 * count;
    const resolved = this.real.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    const staging = this.real.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = this.real.createCommandEncoder();
    for (let first = 0; first < count; first += QUERIES) {
      const part = Math.min(QUERIES, count - first);
      encoder.resolveQuerySet(this.sets[first / QUERIES], 0, part, resolved, 8 * first);
    }
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size);
    this.real.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(staging.getMappedRange().slice(0));
    resolved.destroy();
    staging.destroy();
    return times;
  }
}

/** An object of the platform with some of its methods replaced. */
export function replaced<T extends object>(real: T, methods: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(real, {
    get(target, key) {
      if (key in methods) return methods[key as keyof T];
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, key, value) => Reflect.set(target, key, value, target),
  });
}
