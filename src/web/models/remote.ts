import type { BrowserImage, Embeddings, LoadOptions, LoadProgress, Siglip, Similarity } from "../../index.ts";
import type { Answer, Call, Calls } from "./worker.ts";

/** What a model is loaded from: "demo", a Hub id, an absolute URL, or files that someone chose. */
export type ModelSource = string | File[];

/** What the page lets its user choose. */
export type ModelOptions = Pick<LoadOptions, "backend" | "dtype" | "towers">;

/** A picture that can be sent to a worker. */
export type Picture = Exclude<BrowserImage, HTMLElement | SVGElement>;

/** What `RemoteModel.load` tells while it waits. */
export interface Listeners {
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly onWarning?: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** Loads a model, which then replaces the one in use; on failure or abort that one stays. */
export type LoadModel = (source: ModelSource, options: ModelOptions, listeners?: Listeners) => Promise<RemoteModel>;

interface Waiting {
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

/**
 * A Siglip model that lives in a worker of its own, so that the page answers while it computes: the same calls, all of them
 * promises. What they reject with is an Error with the library's sentence.
 */
export class RemoteModel {
  /** As it was named, for people. */
  readonly name: string;
  readonly dim: number;
  readonly device: Siglip["device"];
  readonly towers: readonly ("image" | "text")[];
  private readonly version: string | undefined;
  private readonly worker: WorkerCalls;

  private constructor(name: string, worker: WorkerCalls, towers: RemoteModel["towers"], facts: Facts) {
    this.name = name;
    this.worker = worker;
    this.towers = towers;
    this.dim = facts.dim;
    this.device = facts.device;
    this.version = facts.version;
  }

  /** Starts a worker and loads a model there. An abort ends the worker, which frees all that it took. */
  static async load(source: ModelSource, options: ModelOptions, listeners: Listeners = {}): Promise<RemoteModel> {
    const { signal } = listeners;
    signal?.throwIfAborted();
    const worker = new WorkerCalls(listeners);
    const abort = () => worker.end(signal?.reason);
    signal?.addEventListener("abort", abort);
    try {
      const facts = await worker.call("load", [source, options]);
      return new RemoteModel(nameOf(source), worker, options.towers ?? ["image", "text"], facts);
    } catch (error) {
      worker.end(error);
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** What embeddings depend on: those of two models with one key can be compared. */
  get key(): string {
    return [this.name, this.device.dtype, this.version].filter(Boolean).join(" ");
  }

  /** `transfer` names bitmaps and frames among the pictures that are given away instead of copied. */
  embedImages(images: readonly Picture[], transfer: Transferable[] = []): Promise<Embeddings> {
    return this.worker.call("embedImages", [images], transfer);
  }

  embedTexts(texts: readonly string[]): Promise<Embeddings> {
    return this.worker.call("embedTexts", [texts]);
  }

  similarity(images: Embeddings, texts: Embeddings): Promise<Similarity> {
    return this.worker.call("similarity", [images, texts]);
  }

  /** Ends the worker; calls that still run reject. */
  dispose(): void {
    this.worker.end(new Error("The model was replaced by another."));
  }
}

type Facts = Awaited<ReturnType<Calls["load"]>>;

/** Calls to a model's worker, by number, and their answers. */
class WorkerCalls {
  private readonly worker = new Worker(workerUrl(), { type: "module" });
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;
  private ended: unknown;

  constructor({ onProgress, onWarning }: Listeners) {
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if ("progress" in data) return onProgress?.(data.progress);
      if ("warning" in data) return onWarning?.(data.warning);
      const { resolve, reject } = this.waiting.get(data.id)!;
      this.waiting.delete(data.id);
      "error" in data ? reject(data.error) : resolve(data.result);
    };
    this.worker.onerror = ({ message }) => {
      this.end(new Error(`The model's worker was wanted, found that it fails (${message}); load the page again.`));
    };
  }

  call<K extends keyof Calls>(
    name: K,
    args: Parameters<Calls[K]>,
    transfer: Transferable[] = [],
  ): Promise<Awaited<ReturnType<Calls[K]>>> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(this.ended);
      const call: Call = { id: this.count++, name, args };
      this.waiting.set(call.id, { resolve: resolve as Waiting["resolve"], reject });
      this.worker.postMessage(call, transfer);
    });
  }

  end(reason: unknown): void {
    this.ended ??= reason;
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(reason);
    this.waiting.clear();
  }
}

/** The build names the worker's script by its contents, and the page says how. */
function workerUrl(): string {
  const { worker } = document.querySelector<HTMLScriptElement>("script[data-worker]")!.dataset;
  return new URL(worker!, document.baseURI).href;
}

function nameOf(source: ModelSource): string {
  if (typeof source === "string") return source;
  const weights = source.find(({ name }) => name.endsWith(".safetensors"));
  return weights ? `${weights.name} of ${weights.size} bytes from disk` : "files from disk";
}
