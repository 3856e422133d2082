import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { mismatch } from "../../support/error.ts";
import { Descriptor, NO_FOLLOW } from "../descriptor.ts";

// A cache may be written by whoever can write in its place: a link that somebody put there is not followed out of it.

/** Makes a folder of a cache whose own folder is `root`; rejects where a link on the way leads elsewhere. */
export async function makeFolder(root: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if (isBelow(await realpath(root), await realpath(folder))) return;
  throw mismatch("storage", folder, "a folder of the cache", "a link that leads out of it", "remove the link");
}

/** Removes a file of a cache whose own folder is `root`, unless a link on the way leads elsewhere. */
export async function removeFile(root: string, path: string): Promise<void> {
  if (await isFolderInside(root, dirname(path))) await rm(path, { force: true });
}

/** Whether there is a folder of that name in the folder `root`, by no link that leads out of it. */
export async function isFolderInside(root: string, folder: string): Promise<boolean> {
  try {
    const real = await realpath(folder);
    return isBelow(await realpath(root), real) && (await stat(real)).isDirectory();
  } catch {
    return false;
  }
}

/** The regular file that a path leads to, by links or none, where that lies in the folder `root`. */
export async function fileInside(root: string, path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path);
    return isBelow(await realpath(root), real) && (await stat(real)).isFile() ? real : undefined;
  } catch {
    return undefined;
  }
}

/** Whether there is a regular file of that very name. */
export async function isFile(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isFile() ?? false;
}

/** A small file's text; undefined where there is none, or something else in its place. */
export async function readNote(path: string, limit = 2 ** 12): Promise<string | undefined> {
  const file = await Descriptor.open(path, constants.O_RDONLY | NO_FOLLOW).catch(() => undefined);
  try {
    const found = await file?.stat();
    if (!found?.isFile() || found.size > limit) return undefined;
    const bytes = new Uint8Array(found.size);
    return new TextDecoder().decode(bytes.subarray(0, await file!.read(bytes, 0)));
  } catch {
    return undefined;
  } finally {
    await file?.close();
  }
}

/** Puts a small file in place of what is there, at once and as a whole. `temporary` lies on the same file system. */
export async function writeNote(path: string, text: string, temporary = temporaryName(dirname(path))): Promise<void> {
  const file = await Descriptor.open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW);
  try {
    try {
      await file.write(new TextEncoder().encode(text), 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** A name that nobody else has, for what is not whole yet. */
export function temporaryName(folder: string): string {
  return join(folder, `.siglip-${randomUUID()}.tmp`);
}

function isBelow(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}
