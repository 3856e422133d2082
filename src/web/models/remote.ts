import { proxy, transfer, wrap } from "comlink";
import type { BrowserImage, Embeddings, HeatMap, LoadOptions, LoadProgress, Siglip, Similarity } from "../../index.ts";
import { mismatch } from "../../support/error.ts";
import type { Calls } from "./worker.ts";

/** What a model is loaded from: "demo", a Hub id, an absolute URL, or files that someone chose. */
export type ModelSource = string | File[];

/** What the page lets its user choose. */
export type ModelOptions = Pick<LoadOptions, "backend" | "dtype" | "towers">;

/** A picture that can be sent to a worker. */
export type Picture = Exclude<BrowserImage, HTMLElement | SVGElement>;

/** Gives the next picture of a stream, none where there are no more. */
export type NextPicture = () => Promise<Picture | undefined>;

/** Is given what became of a stream's pictures, batch by batch in their order: an embedding, or what is wrong in words. */
export type TakeResults = (results: readonly (Float32Array | string)[]) => Promise<void>;

/** What `RemoteModel.load` tells while it waits. */
export interface Listeners {
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

/** Loads a model, which then replaces the one in use; on failure or abort that one stays. */
export type LoadModel = (source: ModelSource, options: ModelOptions, listeners?: Listeners) => Promise<RemoteModel>;

/**
 * A Siglip model that lives in a worker of its own, so that the page answers while it computes: the same calls, all of
 * them promises. What they reject with is an Error with the library's sentence.
 */
export class RemoteModel {
  /** As it was named, for people. */
  readonly name: string;
  readonly dim: number;
  readonly device: Siglip["device"];
  readonly towers: readonly ("image" | "text")[];
  /** What was odd but harmless while it loaded. */
  readonly warnings: readonly string[];
  /** What it says of itself in a file of its embeddings. */
  readonly origin: Facts["origin"];
  private readonly version: string | undefined;
  private readonly logit: Facts["logit"];
  private readonly worker: ModelWorker;

  private constructor(name: string, worker: ModelWorker, towers: RemoteModel["towers"], facts: Facts) {
    this.name = name;
    this.worker = worker;
    this.towers = towers;
    this.dim = facts.dim;
    this.device = facts.device;
    this.origin = facts.origin;
    this.version = facts.version;
    this.warnings = facts.warnings;
    this.logit = facts.logit;
  }

  /** Starts a worker and loads a model there. An abort ends the worker, which frees all that it took. */
  static async load(source: ModelSource, options: ModelOptions, listeners: Listeners = {}): Promise<RemoteModel> {
    const { signal, onProgress = () => {} } = listeners;
    signal?.throwIfAborted();
    const worker = new ModelWorker();
    const abort = () => worker.end(signal?.reason);
    signal?.addEventListener("abort", abort);
    try {
      const facts = await worker.unlessEnded(worker.calls.load(source, options, proxy(onProgress)));
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

  /** `given` names bitmaps and frames among the pictures that are given away instead of copied. */
  embedImages(images: readonly Picture[], given: Transferable[] = []): Promise<Embeddings> {
    return this.worker.unlessEnded(this.worker.calls.embedImages(transfer(images, given)));
  }

  /** Embeds pictures one after another until there are no more; one that cannot be read costs the others nothing. */
  embedStream(next: NextPicture, take: TakeResults): Promise<void> {
    return this.worker.unlessEnded(this.worker.calls.embedStream(proxy(next), proxy(take)));
  }

  embedTexts(texts: readonly string[]): Promise<Embeddings> {
    return this.worker.unlessEnded(this.worker.calls.embedTexts(texts));
  }

  /** Where in a picture a label is. */
  async locate(image: Picture, label: string, template: string): Promise<HeatMap> {
    const [map] = await this.worker.unlessEnded(this.worker.calls.locate(image, label, template));
    return map;
  }

  similarity(images: Embeddings, texts: Embeddings): Promise<Similarity> {
    return this.worker.unlessEnded(this.worker.calls.similarity(images, texts));
  }

  /** The probability that a picture and a text of this cosine belong together. */
  probabilityOf(cosine: number): number {
    return 1 / (1 + Math.exp(-(this.logit.scale * cosine + this.logit.bias)));
  }

  /** Ends the worker; calls that still run reject. */
  dispose(): void {
    this.worker.end(mismatch("disposed", "model", "one in use", "one that was replaced", "use the present one"));
  }
}

type Facts = Awaited<ReturnType<Calls["load"]>>;

/**
 * A model's worker. Once it has ended, or failed, nothing that was asked of it is answered any more: all calls reject.
 */
class ModelWorker {
  private readonly worker = new Worker(workerUrl(), { type: "module" });
  readonly calls = wrap<Calls>(this.worker);
  private readonly waiting = new Set<(reason: unknown) => void>();
  private ended: unknown;

  constructor() {
    this.worker.onerror = ({ message }) => {
      this.end(
        mismatch("no-device", "model", "a worker to run in", `one that fails (${message})`, "load the page again"),
      );
    };
  }

  /** What a call gives, or the reason for which the worker ended. */
  unlessEnded<R>(call: Promise<R>): Promise<R> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(this.ended);
      this.waiting.add(reject);
      call.then(resolve, reject).finally(() => this.waiting.delete(reject));
    });
  }

  end(reason: unknown): void {
    this.ended ??= reason;
    this.worker.terminate();
    for (const reject of this.waiting) reject(reason);
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
