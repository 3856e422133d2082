import { type DBSchema, type IDBPDatabase, openDB } from "idb";

/** A picture as it lies in its folder; another size or date makes another picture of it. */
export interface Kept {
  readonly id: string;
  /** The chosen folder's name, and the path below it. Without a folder the path is all that is known. */
  readonly folder: string;
  readonly path: string;
}

/** What a file of embeddings calls a picture. */
export function nameOf({ folder, path }: Pick<Kept, "folder" | "path">): string {
  return folder === "" ? path : `${folder}/${path}`;
}

/** A picture by its name and by what changes with its content, if that is known. */
export function idOf(name: string, stamp: string): string {
  return stamp === "" ? name : `${name} ${stamp}`;
}

/** The stamp in a picture's id. */
export function stampOf(picture: Kept): string {
  return picture.id.slice(nameOf(picture).length + 1);
}

/** What is kept of a picture once it has been embedded. */
export interface Entry {
  readonly picture: Kept;
  readonly embedding: Float32Array;
  readonly thumbnail: Blob | undefined;
}

const STORES = ["pictures", "thumbnails", "embeddings"] as const;

interface Schema extends DBSchema {
  pictures: { key: string; value: Kept };
  /** As bytes: WebKit's private windows keep no Blob. */
  thumbnails: { key: string; value: ArrayBuffer };
  /** By the model's key and the picture's id. */
  embeddings: { key: [model: string, id: string]; value: Float32Array };
}

/** Pictures, their thumbnails, and by model their embeddings, kept in the browser (IndexedDB). */
export class PictureStore {
  private readonly database: IDBPDatabase<Schema>;

  private constructor(database: IDBPDatabase<Schema>) {
    this.database = database;
  }

  /** Rejects where the browser keeps nothing, as in some private windows. */
  static async open(name = "siglip pictures"): Promise<PictureStore> {
    const database = await openDB<Schema>(name, 1, {
      upgrade(made) {
        for (const store of STORES) made.createObjectStore(store);
      },
    });
    return new PictureStore(database);
  }

  pictures(): Promise<Kept[]> {
    return this.database.getAll("pictures");
  }

  async thumbnail(id: string): Promise<Blob | undefined> {
    const bytes = await this.database.get("thumbnails", id);
    return bytes && new Blob([bytes]);
  }

  /** All embeddings made by a model, by the pictures' ids. */
  async embeddings(model: string): Promise<Map<string, Float32Array>> {
    const { store } = this.database.transaction("embeddings");
    // An array sorts behind every string: the range holds all keys that begin with the model.
    const range = IDBKeyRange.bound([model], [model, []]);
    const [keys, values] = await Promise.all([store.getAllKeys(range), store.getAll(range)]);
    return new Map(keys.map(([, id], index) => [id, values[index]]));
  }

  /** Adds pictures with what `model` made of them, all or none. */
  async add(model: string, entries: readonly Entry[]): Promise<void> {
    // Read beforehand: a transaction ends where it is made to wait for anything else.
    const thumbnails = await Promise.all(entries.map(({ thumbnail }) => thumbnail?.arrayBuffer()));
    const transaction = this.database.transaction(STORES, "readwrite");
    const puts = entries.flatMap(({ picture, embedding }, index) => {
      const thumbnail = thumbnails[index];
      return [
        transaction.objectStore("pictures").put(picture, picture.id),
        transaction.objectStore("embeddings").put(embedding, [model, picture.id]),
        thumbnail && transaction.objectStore("thumbnails").put(thumbnail, picture.id),
      ];
    });
    await Promise.all([...puts, transaction.done]);
  }

  /** Adds the thumbnail of a picture that came without. */
  async addThumbnail(id: string, thumbnail: Blob): Promise<void> {
    await this.database.put("thumbnails", await thumbnail.arrayBuffer(), id);
  }

  /** Removes pictures and their thumbnails; embeddings go with them. */
  async remove(ids: ReadonlySet<string>): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    const embeddings = transaction.objectStore("embeddings");
    const keys = (await embeddings.getAllKeys()).filter(([, id]) => ids.has(id));
    const gone = [...ids].flatMap((id) => [
      transaction.objectStore("pictures").delete(id),
      transaction.objectStore("thumbnails").delete(id),
    ]);
    await Promise.all([...gone, ...keys.map((key) => embeddings.delete(key)), transaction.done]);
  }

  async clear(): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    await Promise.all([...STORES.map((store) => transaction.objectStore(store).clear()), transaction.done]);
  }
}
