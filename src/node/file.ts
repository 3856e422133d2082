import { constants } from "node:fs";
import { type FileHandle, lstat, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { checkRange, type Source } from "../checkpoint/source.ts";
import { mismatch, SiglipError } from "../support/error.ts";
import { Descriptor } from "./descriptor.ts";
import { linkTarget } from "./link-target.ts";
import { temporaryPath } from "./run-name.ts";

/** The path of a file URL; throws a SiglipError for one that names another host. */
export function filePath(url: URL): string {
  try {
    return fileURLToPath(url);
  } catch (cause) {
    const found = `another (${(cause as Error).message})`;
    throw mismatch("bad-input", url.href, "a file on this machine", found, "pass a path", cause);
  }
}

/** Most bytes that are read at once: an abort waits for no more. */
const READ = 2 ** 26;

/** A file on disk, held open until it is closed. */
export interface FileSource extends Source {
  /** Reads reject from now on. */
  close(): Promise<void>;
}

/**
 * Opens a file for reads by range; nothing is read yet. Rejects with a SiglipError where there is no such regular
 * file or it may not be read. A read rejects likewise where the file has shrunk since, or was closed. `flags` are
 * further ones of open(2).
 */
export async function fileSource(path: string, flags = 0): Promise<FileSource> {
  const { file, size } = await attempt(path, "read", async () => {
    // Not every runtime opens a pipe without waiting for its other end.
    if (!(await (flags ? lstat : stat)(path)).isFile()) throw notRegular(path);
    const file = await Descriptor.open(path, constants.O_RDONLY | flags);
    try {
      const stats = await file.stat();
      if (stats.isFile()) return { file, size: stats.size };
      throw notRegular(path);
    } catch (error) {
      await file.close();
      throw error;
    }
  });
  const source: FileSource = {
    name: path,
    size,
    async read(offset, length, signal, room) {
      checkRange(source, offset, length);
      const bytes = room ?? new Uint8Array(length);
      for (let filled = 0; filled < length; ) {
        signal?.throwIfAborted();
        const part = bytes.subarray(filled, filled + READ);
        const count = await attempt(path, "read", () => file.read(part, offset + filled));
        filled += count;
        if (count < part.length) {
          throw mismatch(
            "storage",
            path,
            `${size} bytes`,
            `an end after ${offset + filled}`,
            "fetch it again, for it has shrunk while it was read",
          );
        }
      }
      return bytes;
    },
    close: () => file.close(),
  };
  return source;
}

/** The same for a small file, which is open only while it is read. */
export async function briefSource(path: string, flags = 0): Promise<FileSource> {
  const first = await fileSource(path, flags);
  await first.close();
  return {
    name: path,
    size: first.size,
    async read(offset, length, signal, room) {
      checkRange(first, offset, length);
      const source = await fileSource(path, flags);
      try {
        return await source.read(offset, length, signal, room);
      } finally {
        await source.close();
      }
    },
    async close() {},
  };
}

/** A whole file of at most `limit` bytes; rejects like `fileSource`, and for a larger one before anything is read. */
export async function readFile(path: string, limit: number, signal?: AbortSignal): Promise<Uint8Array> {
  const source = await fileSource(path);
  try {
    if (source.size <= limit) return await source.read(0, source.size, signal);
    throw mismatch("bad-input", path, `at most ${limit} bytes`, `${source.size}`, "name a smaller file");
  } finally {
    await source.close();
  }
}

/** Rejects as `writeFileAtomic` would for a path that cannot be written; what stands there is left alone. */
export async function checkWritable(path: string): Promise<void> {
  const enough = new Error();
  // biome-ignore lint/correctness/useYield: it yields nothing on purpose.
  const nothing = function* (): Generator<Uint8Array> {
    throw enough;
  };
  await writeFileAtomic(path, nothing()).catch((error) => {
    if (error !== enough) throw error;
  });
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
  const temporary = temporaryPath(dirname(target));
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

/** Writes all of a chunk where the file's last write ended. */
async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    written += (await handle.write(chunk, written, Math.min(chunk.length - written, 2 ** 30))).bytesWritten;
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
  ["ELOOP", "a symbolic link, which is not followed here or leads in a circle"],
  ["EBADF", "that it was closed already"],
]);

function notRegular(path: string): SiglipError {
  return mismatch("bad-input", path, "a regular file", "a folder, a pipe or a device", "name a file");
}

/** Runs a file operation and tells in one sentence what the file system said against it. */
export async function attempt<R>(path: string, verb: "read" | "write", operation: () => Promise<R>): Promise<R> {
  try {
    return await operation();
  } catch (error) {
    throw refusal(path, verb, error);
  }
}

/** What the file system said against an operation, in one sentence; any other error as it is. */
export function refusal(path: string, verb: "read" | "write", error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof SiglipError || code === undefined) return error;
  const found = reasons.get(code) ?? message;
  const advice = code === "ENOSPC" || code === "EDQUOT" ? "free some" : "check the path";
  const kind = code === "ENOENT" || code === "ENOTDIR" ? "not-found" : "storage";
  return mismatch(kind, path || '""', `to ${verb} this file`, found, `${advice} and try again`, error);
}
