import type { Embeddings } from "../../index.ts";
import type { RemoteModel } from "./remote.ts";

/** Most texts whose embeddings are kept. */
const KEPT = 2000;

/** Embeds texts with a model, each text once. */
export class TextCache {
  private readonly model: RemoteModel;
  private readonly rows = new Map<string, Promise<Float32Array>>();

  constructor(model: RemoteModel) {
    this.model = model;
  }

  /** Embeddings of `texts`, one a row. */
  async embed(texts: readonly string[]): Promise<Embeddings> {
    const { dim } = this.model;
    if (this.rows.size + texts.length > KEPT) this.rows.clear();
    const missing = [...new Set(texts)].filter((text) => !this.rows.has(text));
    if (missing.length > 0) {
      const all = this.model.embedTexts(missing);
      for (const [index, text] of missing.entries()) {
        const row = all.then(({ data }) => data.slice(index * dim, (index + 1) * dim));
        this.rows.set(text, row);
        row.catch(() => this.rows.delete(text));
      }
    }
    const data = new Float32Array(texts.length * dim);
    const rows = await Promise.all(texts.map((text) => this.rows.get(text)!));
    for (const [index, row] of rows.entries()) data.set(row, index * dim);
    return { data, shape: [texts.length, dim] };
  }
}
