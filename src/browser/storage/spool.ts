import { blobSource } from "../../files/blob.ts";
import type { Spool } from "../../network/ranges.ts";
import { SiglipError } from "../../support/error.ts";

/** Files that came from servers without ranges, for as long as a model is open. */
const ROOT = "siglip-spool";

/** Bytes written at a time, and held. */
const PART = 2 ** 22;

/**
 * Brings a file from a server that ignores Range requests into the browser's private file system, without holding it
 * in memory; it is deleted when it is closed. Undefined where there is no storage or no room.
 */
export const spool: Spool = async (file, signal) => {
  if (!globalThis.navigator?.storage?.getDirectory) return undefined;
  const root = await navigator.storage.getDirectory().catch(() => undefined);
  const folder = await root?.getDirectoryHandle(ROOT, { create: true }).catch(() => undefined);
  if (!folder) return undefined;
  await removeForgotten();
  const { quota = Number.POSITIVE_INFINITY, usage = 0 } = await navigator.storage.estimate();
  if (file.size > quota - usage) return undefined;
  const name = crypto.randomUUID();
  const release = await lock(name);
  const close = async () => {
    await folder.removeEntry(name).catch(() => {});
    release();
  };
  try {
    const handle = await folder.getFileHandle(name, { create: true });
    await fill(await handle.createWritable(), file.stream(0, file.size, signal));
    return { ...blobSource(await handle.getFile(), file.name), close };
  } catch (error) {
    await close();
    if (error instanceof SiglipError || signal?.aborted) throw error;
    return undefined; // the quota was less than it seemed
  }
};

async function fill(writable: FileSystemWritableFileStream, stream: AsyncIterable<Uint8Array>): Promise<void> {
  let parts: Uint8Array<ArrayBuffer>[] = [];
  let held = 0;
  const flush = () => writable.write(new Blob(parts));
  try {
    for await (const bytes of stream) {
      parts.push(bytes as Uint8Array<ArrayBuffer>);
      held += bytes.length;
      if (held < PART) continue;
      await flush();
      parts = [];
      held = 0;
    }
    await flush();
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => {});
    throw error;
  }
}

/** A lock with the file's name tells other pages that it is in use; it ends with the page. */
async function lock(name: string): Promise<() => void> {
  return new Promise((resolve) => {
    navigator.locks.request(name, () => new Promise<void>((release) => resolve(release)));
  });
}

/** Deletes what pages left behind that ended before they closed a file. */
export async function removeForgotten(): Promise<void> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle(ROOT).catch(() => undefined);
  if (!folder) return;
  const { held = [] } = await navigator.locks.query();
  for await (const name of folder.keys()) {
    if (!held.some((lock) => lock.name === name)) await folder.removeEntry(name).catch(() => {});
  }
}
