/** Most addresses that are held; far more than a window shows. */
const MOST = 2000;

/** Addresses under which the page shows thumbnails, by the pictures' ids. */
export class Addresses {
  private readonly urls = new Map<string, string>();

  get(id: string): string | undefined {
    return this.urls.get(id);
  }

  /** The address of a thumbnail from now on; the oldest of too many is given up. */
  add(id: string, thumbnail: Blob): string {
    const url = URL.createObjectURL(thumbnail);
    this.urls.set(id, url);
    if (this.urls.size > MOST) {
      const [oldest, old] = this.urls.entries().next().value!;
      URL.revokeObjectURL(old);
      this.urls.delete(oldest);
    }
    return url;
  }

  clear(): void {
    for (const url of this.urls.values()) URL.revokeObjectURL(url);
    this.urls.clear();
  }
}
