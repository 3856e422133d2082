import type { NodeImage } from "../node/platform.ts";
import { Classifier, type Embedder, type Ranked } from "../siglip/classifier.ts";
import type { Siglip } from "../siglip/siglip.ts";
import { joinFloats } from "../support/numbers.ts";
import { Batcher, ItemError } from "./batcher.ts";
import { embedBatch } from "./embed-batch.ts";
import type { Input } from "./input.ts";
import type { Share } from "./room.ts";
import type { PictureFetcher } from "./urls.ts";

/** How requests are put together. */
export interface EngineOptions {
  /** Most pictures, and most texts, of a batch; by default what suits the device. */
  readonly batch?: number;
  /** Milliseconds that a request waits for others. */
  readonly maxWait: number;
  /** Most pictures, and most texts, that wait. */
  readonly maxQueue: number;
  /** How pictures named by a URL are fetched, if they are. */
  readonly fetcher?: PictureFetcher;
  /** Told of every batch. */
  readonly onBatch?: (kind: Kind, size: number, seconds: number) => void;
}

/** Pictures and texts go through towers of their own, in batches of their own. */
export type Kind = "image" | "text";

/** Batches that run at a time: while one is computed the pictures of the next are decoded. */
const AT_ONCE = 2;
/** Pictures under way at least, where batches are small: enough for the threads that decode them. */
const UNDER_WAY = 8;
/** Pictures of a request that are fetched at a time. */
const FETCHES = 4;
/** Sets of labels whose embeddings are kept. */
const MOST_CLASSIFIERS = 16;

/** A model for many clients at once: what they ask for goes through the towers in common batches. */
export class Engine {
  /** The queues. */
  readonly batchers: Readonly<Record<Kind, Batcher<Uint8Array | string, Float32Array>>>;
  private readonly ranked: Batcher<Uint8Array, Ranked[]>;
  private readonly model: Siglip<NodeImage>;
  private readonly fetcher: PictureFetcher | undefined;
  /** By their labels and templates, the one used last at the end. */
  private readonly classifiers = new Map<string, Classifier<Uint8Array>>();

  constructor(model: Siglip<NodeImage>, options: EngineOptions) {
    const { batch, maxWait, maxQueue, fetcher, onBatch } = options;
    this.model = model;
    this.fetcher = fetcher;
    const { images, texts } = model.device.batch;
    const shared = { maxWait, maxQueue };
    const batcher = (kind: Kind, size: number) =>
      new Batcher<Uint8Array | string, Float32Array>({
        ...shared,
        batch: size,
        atOnce: kind === "image" ? Math.max(AT_ONCE, Math.ceil(UNDER_WAY / size)) : AT_ONCE,
        run: (items, signal) => embedBatch(model, kind, items, signal),
        onBatch: (size, seconds) => onBatch?.(kind, size, seconds),
      });
    this.batchers = { image: batcher("image", batch ?? images), text: batcher("text", batch ?? texts) };
    this.ranked = new Batcher({
      ...shared,
      batch: 1,
      atOnce: UNDER_WAY,
      run: async ([image], signal) => [await model.classify(image, undefined, { signal })],
    });
  }

  /**
   * Embeddings [dim] in the order of the inputs; rejects as `Batcher.add` does, with the number of a bad input. Pictures that
   * are fetched take of the request's share.
   */
  async embed(inputs: readonly Input[], signal: AbortSignal, share: Share): Promise<Float32Array[]> {
    const items = await this.fetchAll(inputs, signal, share);
    const kinds = (["image", "text"] as const).map((kind) => ({
      kind,
      indices: [...items.keys()].filter((index) => (typeof items[index] === "string") === (kind === "text")),
    }));
    const rows: Float32Array[] = new Array(inputs.length);
    const parts = kinds.filter(({ indices }) => indices.length > 0);
    await together(parts, signal, async ({ kind, indices }, both) => {
      const part = indices.map((index) => items[index]);
      const found = await this.batchers[kind].add(part, both).catch((error) => {
        throw error instanceof ItemError ? new ItemError(indices[error.index], error.cause) : error;
      });
      for (const [at, index] of indices.entries()) rows[index] = found[at];
    });
    return rows;
  }

  /** Labels by their probability for a picture; without labels, those that an image classifier was trained for. */
  async classify(
    input: Input,
    labels: readonly string[] | undefined,
    templates: readonly string[] | undefined,
    signal: AbortSignal,
    share: Share,
  ): Promise<Ranked[]> {
    const [image] = (await this.fetchAll([input], signal, share)) as Uint8Array[];
    if (!labels) return (await this.ranked.add([image], signal))[0];
    return (await this.classifier(labels, templates, signal)).classify(image, { signal });
  }

  private async classifier(
    labels: readonly string[],
    templates: readonly string[] | undefined,
    signal: AbortSignal,
  ): Promise<Classifier<Uint8Array>> {
    const key = JSON.stringify([labels, templates]);
    const found = this.classifiers.get(key) ?? (await Classifier.make(this.embedder, labels, { templates, signal }));
    this.classifiers.delete(key);
    this.classifiers.set(key, found);
    if (this.classifiers.size > MOST_CLASSIFIERS) this.classifiers.delete(this.classifiers.keys().next().value!);
    return found;
  }

  /** The batchers, as a classifier uses a model. */
  private readonly embedder: Embedder<Uint8Array> = {
    embedImages: (images, { signal }) => this.joined("image", images, signal),
    embedTexts: (texts, { signal }) => this.joined("text", texts, signal),
    similarity: (images, texts) => this.model.similarity(images, texts),
  };

  private async joined(kind: Kind, items: readonly (Uint8Array | string)[], signal?: AbortSignal) {
    const rows = await this.batchers[kind].add(items, signal);
    return { data: joinFloats(rows), shape: [rows.length, this.model.dim] as const };
  }

  /** Texts, and pictures' bytes; those named by a URL are fetched. */
  private async fetchAll(inputs: readonly Input[], signal: AbortSignal, share: Share) {
    const items: (Uint8Array | string)[] = new Array(inputs.length);
    const places: [index: number, url: URL][] = [];
    for (const [index, input] of inputs.entries()) {
      if (input.kind === "url") places.push([index, input.url]);
      else items[index] = input.kind === "text" ? input.text : input.bytes;
    }
    if (places.length === 0) return items;
    const queue = places.values();
    const workers = Array.from({ length: Math.min(FETCHES, places.length) });
    await together(workers, signal, async (_, all) => {
      for (const [index, url] of queue) {
        const { limit, fetch } = this.fetcher!;
        share.take(limit);
        const bytes = await fetch(url, all).catch((error) => {
          throw all.aborted ? error : new ItemError(index, error);
        });
        share.take(bytes.length - limit);
        items[index] = bytes;
      }
    });
    return items;
  }
}

/** Runs the parts of one request at a time; where one fails the others are aborted. */
async function together<Part>(
  parts: readonly Part[],
  signal: AbortSignal,
  run: (part: Part, all: AbortSignal) => Promise<void>,
): Promise<void> {
  if (parts.length === 1) return run(parts[0], signal);
  const own = new AbortController();
  const relay = () => own.abort(signal.reason);
  if (signal.aborted) relay();
  signal.addEventListener("abort", relay);
  try {
    await Promise.all(parts.map((part) => run(part, own.signal)));
  } catch (error) {
    own.abort(error);
    throw error;
  } finally {
    signal.removeEventListener("abort", relay);
  }
}
