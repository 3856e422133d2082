import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkRange, type Source } from "../checkpoint/source.ts";
import { SiglipError } from "../support/error.ts";
import { linkTarget } from "./link-target.ts";

/** The path of a file URL; throws a SiglipError for one that names another host. */
export function filePath(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new SiglipError(`${url.href}: wanted a file on this machine (${(cause as Error).message}); pass a path.`, {
      cause,
    });
  }
}

/** A file on disk, held open until it is closed. */
export interface FileSource extends Source {
  /** Reads reject from now on. */
  close(): Promise<void>;
}

/**
 * Opens a file for reads by range; nothing is read yet. Rejects with a SiglipError where there is no such regular file or it
 * may not be read. A read rejects likewise where the file has shrunk since, or was closed.
 */
export async function fileSource(path: string): Promise<FileSource> {
  const { handle, size } = await attempt(path, "read", async () => {
    // A pipe would block in open, so its kind is looked at before and, in case it was swapped, after.
    if (!(await stat(path)).isFile()) throw notRegular(path);
    const handle = await open(path);
    const stats = await handle.stat();
    if (stats.isFile()) return { handle, size: stats.size };
    await handle.close();
    throw notRegular(path);
  });
  const source: FileSource = {
    name: path,
    size,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      const bytes = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        signal?.throwIfAborted();
        const part = Math.min(length - filled, 2 ** 30);
        const { bytesRead } = await attempt(path, "read", () => handle.read(bytes, filled, part, offset + filled));
        if (bytesRead === 0) {
          throw new SiglipError(
            `${path}: wanted ${size} bytes, found an end after ${offset + filled}; the file has shrunk while it was read, fetch it again.`,
          );
        }
        filled += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
  return source;
}

/** A whole file of at most `limit` bytes; rejects like `fileSource`, and for a larger one before anything is read. */
export async function readFile(path: string, limit: number, signal?: AbortSignal): Promise<Uint8Array> {
  const source = await fileSource(path);
  try {
    if (source.size <= limit) return await source.read(0, source.size, signal);
    throw new SiglipError(`${path}: wanted at most ${limit} bytes, found ${source.size}; name a smaller file.`);
  } finally {
    await source.close();
  }
}

/**
 * Writes a file as its chunks arrive and puts it in place only when it is whole and on disk: until then, and for ever
 * when the chunks fail or the signal aborts, whatever stood at the path stands there still and nothing is left beside it.
 * A file that was there keeps its mode, a link stays one and its target is written. Rejects with a SiglipError for what
 * the file system refuses, and with the chunks' own error for theirs.
 */
export async function writeFileAtomic(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<void> {
  const target = await attempt(path, "write", () => linkTarget(path));
  const existing = await stat(target).catch(() => undefined);
  // A device or a pipe would be replaced by a file.
  if (existing && !existing.isFile()) throw notRegular(path);
  // Not made of the file's own name, which may already be as long as the file system takes.
  const temporary = join(dirname(target), `.siglip-${randomUUID()}.tmp`);
  signal?.throwIfAborted();
  const handle = await attempt(path, "write", () => open(temporary, "wx"));
  try {
    try {
      for await (const chunk of chunks) {
        signal?.throwIfAborted();
        await attempt(path, "write", () => writeAll(handle, chunk));
      }
      await attempt(path, "write", () => handle.sync());
      if (existing) await attempt(path, "write", () => handle.chmod(existing.mode & 0o7777));
    } finally {
      await handle.close();
    }
    signal?.throwIfAborted();
    await attempt(path, "write", () => rename(temporary, target));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes all of a chunk: at an offset, or where the file's last write ended. */
export async function writeAll(handle: FileHandle, chunk: Uint8Array, offset?: number): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    const at = offset === undefined ? null : offset + written;
    written += (await handle.write(chunk, written, Math.min(chunk.length - written, 2 ** 30), at)).bytesWritten;
  }
}

const reasons = new Map([
  ["ENOENT", "no such file or folder"],
  ["ENOTDIR", "a part of the path that is no folder"],
  ["EISDIR", "a folder"],
  ["EACCES", "that its permissions forbid it"],
  ["EPERM", "that its permissions forbid it"],
  ["EROFS", "a read-only file system"],
  ["ENOSPC", "no space left on the disk"],
  ["EDQUOT", "no quota left on the disk"],
  ["EFBIG", "a limit on the size of files"],
  ["EMFILE", "too many files open"],
  ["EBADF", "that it was closed already"],
]);

function notRegular(path: string): SiglipError {
  return new SiglipError(`${path}: wanted a regular file, found a folder, a pipe or a device; name a file.`);
}

/** Runs a file operation and tells in one sentence what the file system said against it. */
export async function attempt<R>(path: string, verb: "read" | "write", operation: () => Promise<R>): Promise<R> {
  try {
    return await operation();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof SiglipError || code === undefined) throw error;
    const found = reasons.get(code) ?? message;
    const advice = code === "ENOSPC" || code === "EDQUOT" ? "free some" : "check the path";
    throw new SiglipError(`${path}: wanted to ${verb} this file, found ${found}; ${advice} and try again.`, {
      cause: error,
    });
  }
}
