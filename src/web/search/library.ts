import { VectorIndex } from "../../browser/vector-index.ts";
import type { RemoteModel } from "../models/remote.ts";
import { Addresses } from "./addresses.ts";
import { matchElsewhere } from "./elsewhere.ts";
import type { Folder, Found } from "./files.ts";
import { Indexer } from "./indexer.ts";
import { type Entry, type Kept, nameOf, PictureStore } from "./store.ts";
import { makeThumbnail } from "./thumbnail.ts";

/** A picture that was found, and its cosine with the query. */
export interface Match {
  readonly id: string;
  readonly score: number;
}

/**
 * The pictures at hand: those kept from earlier visits and those of folders chosen now, with embeddings by the model in
 * use.
 */
export class Library {
  /** All pictures by id, in the order they came. */
  readonly pictures = new Map<string, Kept>();
  /** Pictures that could not be embedded, and why. */
  readonly unread = new Map<string, string>();
  indexer: Indexer | undefined;
  /** Why nothing more can be kept, in a sentence. */
  full: string | undefined;
  private readonly found = new Map<string, Found>();
  /** The embedded ones, each with its number in the index. */
  private readonly embedded = new Map<string, number>();
  private readonly addresses = new Addresses();
  private readonly store: PictureStore | undefined;
  private readonly onChange: () => void;
  private model: RemoteModel | undefined;
  private index: VectorIndex | undefined;
  private ids: string[] = [];

  private constructor(store: PictureStore | undefined, onChange: () => void) {
    this.store = store;
    this.onChange = onChange;
  }

  /**
   * Opens what is kept, nothing where the browser keeps nothing. `onChange` is called whenever there is more to show.
   */
  static async open(onChange: () => void): Promise<Library> {
    const store = await PictureStore.open().catch(() => undefined);
    const library = new Library(store, onChange);
    for (const picture of (await store?.pictures().catch(() => [])) ?? []) library.pictures.set(picture.id, picture);
    return library;
  }

  /** Pictures that can be searched. */
  get size(): number {
    return this.embedded.size;
  }

  /** Those that can be searched, by id. */
  get searchable(): string[] {
    return this.ids.filter((id) => this.pictures.has(id));
  }

  /** All pictures by id that are not known to be no good. */
  get readable(): string[] {
    return [...this.pictures.keys()].filter((id) => !this.unread.has(id));
  }

  /** Whether what is kept has been read for a model; until then nothing can be searched. */
  get ready(): boolean {
    return this.index !== undefined;
  }

  /** Takes another model: its kept embeddings are read, and what it has not seen is embedded. */
  async use(model: RemoteModel): Promise<void> {
    this.indexer?.stop();
    this.model = model;
    this.index = undefined;
    this.ids = [];
    this.embedded.clear();
    this.unread.clear();
    const kept = (await this.store?.embeddings(model.key).catch(() => undefined)) ?? new Map<string, Float32Array>();
    if (this.model !== model) return;
    this.index = new VectorIndex(model.dim);
    for (const id of this.pictures.keys()) {
      const embedding = kept.get(id);
      if (embedding?.length === model.dim) this.put(id, embedding);
    }
    this.start();
  }

  /** Adds a folder's pictures; those kept of it from earlier that are not in it any more are forgotten. */
  async add({ name, pictures }: Folder): Promise<void> {
    this.indexer?.stop();
    const present = new Set(pictures.map(({ id }) => id));
    const gone = new Set(
      [...this.pictures.values()].filter((p) => p.folder === name && !present.has(p.id)).map((p) => p.id),
    );
    for (const picture of pictures) {
      this.pictures.set(picture.id, picture);
      this.found.set(picture.id, picture);
    }
    for (const id of gone) {
      this.pictures.delete(id);
      this.found.delete(id);
    }
    await this.adopt(pictures);
    if (gone.size > 0) await this.store?.remove(gone).catch(() => {});
    if (gone.size > 0 && this.model) await this.use(this.model);
    else this.start();
  }

  /**
   * Adds pictures that come with embeddings by the model in use, part by part, but for those of a name that is there.
   * Resolves with how many; ends early where another model comes.
   */
  async addEmbedded(parts: AsyncIterable<readonly Entry[]>): Promise<number> {
    const { model } = this;
    this.indexer?.stop();
    const ids = new Map([...this.pictures.values()].map((picture) => [nameOf(picture), picture.id]));
    const isTaken = (id: string) => this.embedded.has(id) || this.found.has(id);
    let added = 0;
    try {
      for await (const part of parts) {
        if (this.model !== model) break;
        const fresh = part.filter(({ picture }) => {
          const { id } = picture;
          const there = ids.get(nameOf(picture));
          if (this.embedded.has(id) || (there !== undefined && there !== id && isTaken(there))) return false;
          ids.set(nameOf(picture), id);
          this.pictures.set(id, picture);
          return true;
        });
        await this.keep(fresh);
        added += fresh.length;
        this.onChange();
      }
    } finally {
      if (this.model === model) this.start();
    }
    return added;
  }

  /** The pictures nearest to an embedding, best first. */
  async search(query: Float32Array): Promise<Match[]> {
    // Another model may come, and pictures may go, while this one's are searched.
    const { ids, pictures } = this;
    const hits = (await this.index?.search(query, { most: Number.POSITIVE_INFINITY })) ?? [];
    return hits.map(({ index, score }) => ({ id: ids[index], score })).filter(({ id }) => pictures.has(id));
  }

  /** A picture's embedding by the model in use; undefined while it has none. */
  async embeddingOf(id: string): Promise<Float32Array | undefined> {
    const row = this.embedded.get(id);
    return row === undefined ? undefined : this.index!.row(row);
  }

  /** The picture itself; undefined where its folder was chosen in an earlier visit only, or it is gone. */
  async original(id: string): Promise<Blob | undefined> {
    return this.found
      .get(id)
      ?.open()
      .catch(() => undefined);
  }

  /** The address of a picture's thumbnail, or undefined where there is none yet. */
  async thumbnail(id: string): Promise<string | undefined> {
    const known = this.addresses.get(id);
    if (known) return known;
    const blob = (await this.store?.thumbnail(id).catch(() => undefined)) ?? (await this.makeUp(id));
    return blob && this.addresses.add(id, blob);
  }

  /** Forgets everything, in the browser's storage as well. */
  async forget(): Promise<void> {
    this.indexer?.stop();
    this.indexer = undefined;
    for (const map of [this.pictures, this.found, this.unread, this.addresses]) map.clear();
    this.full = undefined;
    await this.store?.clear();
    if (this.model) await this.use(this.model);
  }

  /** The thumbnail of a picture whose embedding came in a file, once its folder has been chosen. */
  private async makeUp(id: string): Promise<Blob | undefined> {
    if (!this.embedded.has(id)) return undefined; // it is made beside the embedding
    const original = await this.original(id);
    const thumbnail = original && (await makeThumbnail(original));
    if (thumbnail) await this.store?.addThumbnail(id, thumbnail).catch(() => {});
    return thumbnail;
  }

  /** Takes the embeddings of an index that names a folder's pictures by longer paths. */
  private async adopt(pictures: readonly Found[]): Promise<void> {
    const { index, embedded } = this;
    const kept = [...this.pictures.values()].filter(({ id }) => embedded.has(id));
    const wanted = pictures.filter(({ id }) => !embedded.has(id));
    const entries: Entry[] = [];
    const gone = new Set<string>();
    for (const [{ id, folder, path }, other] of matchElsewhere(kept, wanted)) {
      const embedding = await index!.row(embedded.get(other.id)!);
      entries.push({ picture: { id, folder, path }, embedding, thumbnail: undefined });
      gone.add(other.id);
    }
    // Another model may have come meanwhile, which has its own.
    if (gone.size === 0 || this.index !== index) return;
    for (const id of gone) {
      this.pictures.delete(id);
      embedded.delete(id);
    }
    await this.keep(entries);
    await this.store?.remove(gone).catch(() => {});
  }

  private start(): void {
    const missing = [...this.found.values()].filter(({ id }) => !this.embedded.has(id));
    if (this.model?.towers.includes("image") && missing.length > 0) {
      this.indexer = new Indexer(this.model, missing, {
        onEmbedded: (entries) => this.keep(entries),
        onFailed: ({ path, id }, message) => this.unread.set(id, withPath(path, message)),
        onChange: this.onChange,
      });
      void this.indexer.run();
      navigator.storage?.persist?.().catch(() => {});
    }
    this.onChange();
  }

  private async keep(entries: readonly Entry[]): Promise<void> {
    for (const { picture, embedding, thumbnail } of entries) {
      this.put(picture.id, embedding);
      if (thumbnail) this.addresses.add(picture.id, thumbnail);
    }
    try {
      await this.store?.add(this.model!.key, entries);
    } catch (error) {
      const why = (error as Error)?.message ?? "no reason given";
      this.full = `The browser keeps no more (${why}); these pictures can be searched until the page is closed.`;
    }
  }

  private put(id: string, embedding: Float32Array): void {
    const row = this.index!.add(embedding);
    this.ids[row] = id;
    this.embedded.set(id, row);
    this.unread.delete(id);
  }
}

/** What is wrong with a picture under its path. Most messages begin with the file's name, which then stands there once. */
function withPath(path: string, message: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return `${path}: ${message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message}`;
}
