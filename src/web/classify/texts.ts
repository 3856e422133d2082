import type { Embeddings } from "../../index.ts";
import type { RemoteModel } from "../models/remote.ts";

/** Most texts whose embeddings are kept. */
const KEPT = 2000;

/** Embeds texts with a model, each text once. */
export class TextCache {
  private readonly model: RemoteModel;
  private readonly rows = new Map<string, Float32Array>();

  constructor(model: RemoteModel) {
    this.model = model;
  }

  /** Embeddings of `texts`, one a row. */
  async embed(texts: readonly string[]): Promise<Embeddings> {
    const { dim } = this.model;
    const missing = [...new Set(texts)].filter((text) => !this.rows.has(text));
    if (this.rows.size + missing.length > KEPT) this.rows.clear();
    const unknown = [...new Set(texts)].filter((text) => !this.rows.has(text));
    if (unknown.length > 0) {
      const { data } = await this.model.embedTexts(unknown);
      for (const [index, text] of unknown.entries()) this.rows.set(text, data.slice(index * dim, (index + 1) * dim));
    }
    const data = new Float32Array(texts.length * dim);
    for (const [index, text] of texts.entries()) data.set(this.rows.get(text)!, index * dim);
    return { data, shape: [texts.length, dim] };
  }
}
