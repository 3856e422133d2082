import { mismatch, type SiglipError } from "../../support/error.ts";
import { concatenate } from "../../support/numbers.ts";

/** Bytes of the SHA-256 that closes every file. */
const DIGEST = 32;

/**
 * A folder of the browser's private file system. A file in it is complete and what was written, or it counts as
 * absent: it is put in place when it is closed (an empty one is what a writer left that was cut short), and it ends
 * with the digest of its contents.
 */
export class CacheFolder {
  private readonly handle: FileSystemDirectoryHandle;

  constructor(handle: FileSystemDirectoryHandle) {
    this.handle = handle;
  }

  /**
   * The contents of a file, or undefined where there is none. Rejects with a SiglipError for one that is damaged or
   * cannot be read.
   */
  async read(name: string): Promise<Uint8Array | undefined> {
    try {
      const file = await (await this.handle.getFileHandle(name)).getFile();
      if (file.size === 0) return undefined;
      const bytes = new Uint8Array(await file.arrayBuffer());
      const contents = bytes.subarray(0, -DIGEST);
      const stated = bytes.subarray(contents.length);
      const found = await sha256(contents);
      if (stated.length === DIGEST && stated.every((byte, i) => byte === found[i])) return contents;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw unreadable(name, reasonOf(error));
    }
    throw unreadable(name, "bytes that do not match their digest");
  }

  /** What `encodeJson` made a file of; rejects like `read`. */
  async readJson<Value>(name: string): Promise<Value | undefined> {
    const bytes = await this.read(name);
    try {
      return bytes && decodeJson(bytes);
    } catch {
      throw unreadable(name, "no JSON");
    }
  }

  /**
   * Writes a file of these parts unless it is there. Rejects with what the browser says against it, such as its quota.
   */
  async add(name: string, ...parts: readonly Uint8Array[]): Promise<void> {
    const handle = await this.handle.getFileHandle(name, { create: true });
    if ((await handle.getFile()).size === 0) await write(handle, parts);
  }

  /** Writes a file in place of what was there. Rejects like `add`. */
  async replace(name: string, contents: Uint8Array): Promise<void> {
    await write(await this.handle.getFileHandle(name, { create: true }), [contents]);
  }

  /** Removes a file; nothing happens where there is none. */
  async remove(name: string): Promise<void> {
    await this.handle.removeEntry(name).catch((error) => {
      if (!isAbsent(error)) throw error;
    });
  }

  /** The files' names, those of empty ones among them. */
  async names(): Promise<Set<string>> {
    const names = new Set<string>();
    for await (const name of this.handle.keys()) names.add(name);
    return names;
  }

  /** What all files take together, in bytes. */
  async bytes(): Promise<number> {
    let bytes = 0;
    for await (const handle of this.handle.values()) {
      // A file may go while they are counted.
      if (handle.kind === "file")
        bytes += await handle.getFile().then(
          ({ size }) => size,
          () => 0,
        );
    }
    return bytes;
  }
}

export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/**
 * What `encodeJson` made the bytes of. A file's digest says that nobody else did, so their form is not looked at
 * further.
 */
export function decodeJson<Value>(bytes: Uint8Array): Value {
  return JSON.parse(new TextDecoder().decode(bytes));
}

async function write(handle: FileSystemFileHandle, parts: readonly Uint8Array[]): Promise<void> {
  const bytes = concatenate([...parts, new Uint8Array(DIGEST)]);
  bytes.set(await sha256(bytes.subarray(0, -DIGEST)), bytes.length - DIGEST);
  const writable = await handle.createWritable();
  try {
    await writable.write(bytes);
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => {});
    throw error;
  }
}

/** What the browser says of a failure, for the middle of a sentence. */
export function reasonOf(error: unknown): string {
  return (error as Error).message.replace(/\.$/, "");
}

function isAbsent(error: unknown): boolean {
  return (error as Error)?.name === "NotFoundError";
}

export function unreadable(name: string, found: string): SiglipError {
  return mismatch("storage", name, "this part of the model from the browser's cache", found, "it is fetched again");
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
