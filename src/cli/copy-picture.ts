import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, link, lstat, mkdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bytesSource } from "../checkpoint/source.ts";
import { attempt, type FileSource, fileSource } from "../node/file.ts";
import { mismatch } from "../support/error.ts";
import { fileName, numbered } from "./folder-names.ts";

/** Bytes that are compared at once. */
const AT_ONCE = 2 ** 20;

/** Makes a folder in another. Rejects with a SiglipError where something else stands there, a link to a folder too. */
export async function makeFolder(parent: string, name: string): Promise<string> {
  const folder = join(parent, name);
  await attempt(folder, "write", () => mkdir(folder, { recursive: true }));
  if ((await lstat(folder)).isDirectory()) return folder;
  throw mismatch("bad-input", folder, "a folder", "a link or a file", "choose another folder to copy to");
}

/**
 * Copies a picture into a folder under its own name, or with a number behind it where another stands there. What stands
 * there is left alone; where that is the same, byte for byte, nothing is copied and false comes back. A copy is in place
 * when it is whole.
 */
export async function copyPicture(path: string, folder: string, signal?: AbortSignal): Promise<boolean> {
  const found = await attempt(path, "read", () => stat(path));
  if (!found.isFile()) throw mismatch("bad-input", path, "a picture's file", "no regular file", "leave it out");
  return put(path, folder, signal, {
    size: found.size,
    read: () => fileSource(path),
    async write(temporary) {
      await copyFile(path, temporary, constants.COPYFILE_EXCL);
      await utimes(temporary, found.atime, found.mtime);
    },
  });
}

/** The same for a picture that lies in no file of its own; `path` ends in its name. */
export async function copyBytes(path: string, bytes: Uint8Array, folder: string, signal?: AbortSignal) {
  return put(path, folder, signal, {
    size: bytes.length,
    read: async () => ({ ...bytesSource(bytes), async close() {} }),
    write: (temporary) => writeFile(temporary, bytes, { flag: "wx" }),
  });
}

/** What is to be copied. */
interface Original {
  readonly size: number;
  read(): Promise<FileSource>;
  /** Into a file to be made. */
  write(temporary: string): Promise<void>;
}

async function put(path: string, folder: string, signal: AbortSignal | undefined, original: Original) {
  const name = fileName(path.split(/[/\\]/).at(-1)!, "picture");
  const temporary = join(folder, `.siglip-${randomUUID()}.tmp`);
  let written = false;
  try {
    for (let number = 1; ; number++) {
      signal?.throwIfAborted();
      const target = join(folder, numbered(name, number));
      const there = await lstat(target).catch(() => undefined);
      if (there?.isFile() && there.size === original.size && (await same(original, target, signal))) return false;
      if (there) continue;
      if (!written) await attempt(target, "write", () => original.write(temporary));
      written = true;
      if (await attempt(target, "write", () => putInPlace(temporary, target))) return true;
      number--; // another process was quicker: is what it put there the same?
    }
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Gives a file a second name unless that is taken, which is told. */
async function putInPlace(temporary: string, target: string): Promise<boolean> {
  try {
    await link(temporary, target);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(code!)) throw error;
  }
  // Not every file system has second names.
  try {
    await copyFile(temporary, target, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Whether a file of the same size holds the same bytes. */
async function same({ size, read }: Original, other: string, signal?: AbortSignal): Promise<boolean> {
  const files: FileSource[] = [];
  try {
    files.push(await read(), await fileSource(other));
    for (let offset = 0; offset < size; offset += AT_ONCE) {
      const length = Math.min(AT_ONCE, size - offset);
      const [a, b] = await Promise.all(files.map((file) => file.read(offset, length, signal)));
      if (Buffer.compare(a, b) !== 0) return false;
    }
    return true;
  } finally {
    for (const file of files) await file.close();
  }
}
