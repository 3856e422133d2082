/** A picture as it lies in its folder; another size or date makes another picture of it. */
export interface Kept {
  readonly id: string;
  /** The chosen folder's name, and the path below it. */
  readonly folder: string;
  readonly path: string;
}

/** What is kept of a picture once it has been embedded. */
export interface Entry {
  readonly picture: Kept;
  readonly embedding: Float32Array;
  readonly thumbnail: Blob | undefined;
}

const STORES = ["pictures", "thumbnails", "embeddings"] as const;

/** Pictures, their thumbnails, and by model their embeddings, kept in the browser (IndexedDB). */
export class PictureStore {
  private readonly database: IDBDatabase;

  private constructor(database: IDBDatabase) {
    this.database = database;
  }

  /** Rejects where the browser keeps nothing, as in some private windows. */
  static async open(name = "siglip pictures"): Promise<PictureStore> {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const store of STORES) request.result.createObjectStore(store);
    };
    return new PictureStore(await result(request));
  }

  pictures(): Promise<Kept[]> {
    return result(this.database.transaction("pictures").objectStore("pictures").getAll());
  }

  thumbnail(id: string): Promise<Blob | undefined> {
    return result(this.database.transaction("thumbnails").objectStore("thumbnails").get(id));
  }

  /** All embeddings made by a model, by the pictures' ids. */
  async embeddings(model: string): Promise<Map<string, Float32Array>> {
    const store = this.database.transaction("embeddings").objectStore("embeddings");
    // An array sorts behind every string: the range holds all keys that begin with the model.
    const range = IDBKeyRange.bound([model], [model, []]);
    const [keys, values] = await Promise.all([result(store.getAllKeys(range)), result(store.getAll(range))]);
    return new Map(keys.map((key, index) => [(key as string[])[1], values[index]]));
  }

  /** Adds pictures with what `model` made of them, all or none. */
  async add(model: string, entries: readonly Entry[]): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    for (const { picture, embedding, thumbnail } of entries) {
      transaction.objectStore("pictures").put(picture, picture.id);
      transaction.objectStore("embeddings").put(embedding, [model, picture.id]);
      if (thumbnail) transaction.objectStore("thumbnails").put(thumbnail, picture.id);
    }
    await finished(transaction);
  }

  /** Removes pictures and their thumbnails; embeddings go with them. */
  async remove(ids: ReadonlySet<string>): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    for (const id of ids) {
      transaction.objectStore("pictures").delete(id);
      transaction.objectStore("thumbnails").delete(id);
    }
    const cursor = transaction.objectStore("embeddings").openKeyCursor();
    cursor.onsuccess = () => {
      if (!cursor.result) return;
      const key = cursor.result.primaryKey as string[];
      if (ids.has(key[1])) transaction.objectStore("embeddings").delete(key);
      cursor.result.continue();
    };
    await finished(transaction);
  }

  async clear(): Promise<void> {
    const transaction = this.database.transaction(STORES, "readwrite");
    for (const store of STORES) transaction.objectStore(store).clear();
    await finished(transaction);
  }
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}
