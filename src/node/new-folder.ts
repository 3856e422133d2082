import { randomUUID } from "node:crypto";
import { mkdir, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { WrittenFile } from "../checkpoint/shards.ts";
import { mismatch } from "../support/error.ts";
import { attempt, writeFileAtomic } from "./file.ts";

/** Rejects with a SiglipError where something stands at a path already; an empty folder does not count. */
export async function checkNewFolder(path: string): Promise<void> {
  const target = resolve(path);
  const found = await stat(target).catch(() => undefined);
  if (!found) return;
  const advice = "choose another folder, or delete this one";
  if (!found.isDirectory()) throw mismatch("bad-input", target, "a folder to be made", "a file", advice);
  const names = await attempt(target, "read", () => readdir(target));
  if (names.length > 0)
    throw mismatch("bad-input", target, "a folder to be made", `${names.length} files in it`, advice);
}

/**
 * Writes files into a folder that appears when it is whole: until then they lie in one beside it, which is removed when
 * anything fails or the signal aborts. Never replaces anything. Gives each file's size.
 */
export async function writeNewFolder(
  path: string,
  files: AsyncIterable<WrittenFile>,
  signal?: AbortSignal,
): Promise<{ name: string; size: number }[]> {
  await checkNewFolder(path);
  const target = resolve(path);
  const parent = dirname(target);
  await attempt(path, "write", () => mkdir(parent, { recursive: true }));
  const temporary = join(parent, `.${basename(target).slice(0, 100)}-${randomUUID()}.tmp`);
  const written: { name: string; size: number }[] = [];
  await attempt(path, "write", () => mkdir(temporary));
  try {
    for await (const { name, chunks } of files) {
      await writeFileAtomic(join(temporary, name), chunks, signal);
      written.push({ name, size: (await stat(join(temporary, name))).size });
    }
    signal?.throwIfAborted();
    // Not every system puts a folder in an empty one's place.
    await rmdir(target).catch(() => {});
    await checkNewFolder(path);
    await attempt(path, "write", () => rename(temporary, target));
    return written;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}
