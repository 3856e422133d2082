/** What one dispatch took on the device. */
export interface Span {
  /** The pipeline's label: the kernel's name and its constants. */
  readonly label: string;
  /** Seconds; NaN where the device has no timestamps. */
  readonly seconds: number;
  /** When it ended, in seconds since the first of its recording began. */
  readonly end: number;
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

  constructor(real: GPUDevice) {
    this.real = real;
    this.timestamps = real.features.has("timestamp-query");
    this.device = replaced(real, {
      createCommandEncoder: (descriptor?: GPUCommandEncoderDescriptor) => this.encoder(descriptor),
      createComputePipelineAsync: (descriptor: GPUComputePipelineDescriptor) => this.compile(descriptor),
    });
  }

  /** What `work` dispatched until it resolved; it has to wait for the device itself. */
  async record(work: () => Promise<unknown>): Promise<Span[]> {
    const labels: string[] = [];
    this.dispatched = labels;
    try {
      await work();
    } finally {
      this.dispatched = undefined;
    }
    if (!this.timestamps) return labels.map((label) => ({ label, seconds: Number.NaN, end: Number.NaN }));
    const times = await this.resolve(2 * labels.length);
    return labels.map((label, i) => {
      const [begin, end] = [times[2 * i], times[2 * i + 1]];
      return { label, seconds: Number(end - begin) / 1e9, end: Number(end - times[0]) / 1e9 };
    });
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
    return replaced(encoder, { beginComputePass: () => this.pass(encoder, dispatched) });
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
        const real = encoder.beginComputePass(
          this.timestamps ? { timestampWrites: this.writes(dispatched.length) } : {},
        );
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

  private writes(dispatch: number): GPUComputePassTimestampWrites {
    const set = Math.floor((2 * dispatch) / QUERIES);
    this.sets[set] ??= this.real.createQuerySet({ type: "timestamp", count: QUERIES });
    const first = (2 * dispatch) % QUERIES;
    return { querySet: this.sets[set], beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
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
