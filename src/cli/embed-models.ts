import { type Provenance, readProvenance } from "../bulk/origin.ts";
import type { EmbedItems } from "../bulk/run.ts";
import type { NodeImage } from "../node/platform.ts";
import type { Siglip } from "../node.ts";
import type { Kind } from "../search/vectors.ts";
import { mismatch, type SiglipError } from "../support/error.ts";
import { openModel, type RunOptions } from "./model.ts";
import { tell } from "./terminal.ts";

/** How a command embeds. */
export interface ModelOptions extends RunOptions {
  readonly batch?: number;
  readonly maxPatches?: number;
}

/** The model of a command that embeds: each tower is loaded when something is there for it. */
export class EmbedModels {
  private readonly options: ModelOptions;
  private readonly together: readonly Kind[];
  private readonly signal: AbortSignal;
  private readonly models = new Map<Kind, Promise<Siglip>>();
  private readonly opened: Siglip[] = [];
  private revision: string | undefined;
  /** Whether a tower is being loaded, which has a bar of its own. */
  loading = false;
  /** Called when one begins to be loaded. */
  onLoading: () => void = () => {};
  private found: Promise<Provenance> | undefined;

  /** `together` are the kinds that are certain to come. */
  constructor(options: ModelOptions, together: readonly Kind[], signal: AbortSignal) {
    // What embeddings are compared by must not depend on what there is to compute on.
    this.options = { ...options, dtype: options.dtype ?? (options.backend === "cpu" ? "f32" : "f16") };
    this.together = together;
    this.signal = signal;
  }

  /** What the embeddings are made by, before anything is loaded. */
  provenance(): Promise<Provenance> {
    this.found ??= this.readProvenance();
    return this.found;
  }

  /** What it runs on; undefined where nothing had to be loaded. */
  get device(): Siglip["device"] | undefined {
    return this.opened[0]?.device;
  }

  readonly embed: EmbedItems = (kind, items) => this.stream(kind, items);

  /** How many of a kind go through the tower together. */
  async batchSize(kind: Kind): Promise<number> {
    const { images, texts } = (await this.model(kind)).device.batch;
    return this.options.batch ?? (kind === "image" ? images : texts);
  }

  /** One batch: for each item its embedding, or what is wrong with it. */
  async embedAll(kind: Kind, items: readonly (NodeImage | string)[]): Promise<(Float32Array | SiglipError)[]> {
    async function* all() {
      yield* items;
    }
    const found: (Float32Array | SiglipError)[] = [];
    for await (const { embeddings } of this.stream(kind, all())) found.push(...embeddings);
    return found;
  }

  dispose(): void {
    for (const model of this.opened) model.dispose();
  }

  private async readProvenance(): Promise<Provenance> {
    const { model, maxPatches, cache } = this.options;
    const { signal } = this;
    const dtype = this.options.dtype!;
    const found = await readProvenance(model, { dtype, maxPatches, cache, signal, onWarning: tell });
    this.revision = found.origin.revision;
    return found;
  }

  private async *stream(kind: Kind, items: AsyncIterable<NodeImage | string>): ReturnType<EmbedItems> {
    const { batch, maxPatches } = this.options;
    const model = await this.model(kind);
    const options = { batch, signal: this.signal };
    if (kind === "text") yield* model.embedStream(items as AsyncIterable<string>, { ...options, kind });
    else yield* model.embedStream(items, { ...options, maxPatches });
  }

  private model(kind: Kind): Promise<Siglip> {
    let model = this.models.get(kind);
    if (!model) {
      const towers = this.together.includes(kind) ? this.together : [kind];
      model = this.open(towers);
      for (const tower of towers) this.models.set(tower, model);
    }
    return model;
  }

  private async open(towers: readonly Kind[]): Promise<Siglip> {
    this.loading = true;
    this.onLoading();
    const model = await openModel(this.options, towers, this.signal).finally(() => {
      this.loading = false;
    });
    this.opened.push(model);
    if (this.revision !== undefined && model.version !== undefined && model.version !== this.revision) {
      const wanted = `revision ${this.revision}, as it was a moment ago`;
      throw mismatch("network", this.options.model, wanted, model.version, "give the command again");
    }
    return model;
  }
}
