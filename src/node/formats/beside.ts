import { lstat, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { attempt } from "../file.ts";
import { linkTarget } from "../link-target.ts";
import { runName } from "../run-name.ts";

/**
 * Makes a file, or a folder, beside where it shall stand, and puts it in place when it is whole and on disk. Until then,
 * and for ever when that fails, what stood there stays; nothing is left beside it. A folder takes the place of one in two
 * steps: between these there is none at the path, and the old one beside it under a name that ends in .old. `ending` is
 * that of the name under which it is made.
 */
export async function putInPlace(
  path: string,
  make: (temporary: string) => Promise<void>,
  signal?: AbortSignal,
  ending = "",
): Promise<void> {
  const target = await attempt(path, "write", () => linkTarget(path));
  const name = join(dirname(target), `.siglip-${runName()}`);
  const temporary = `${name}.tmp${ending}`;
  try {
    signal?.throwIfAborted();
    await make(temporary);
    signal?.throwIfAborted();
    await attempt(path, "write", async () => {
      if ((await lstat(temporary)).isDirectory()) {
        for (const entry of await readdir(temporary, { recursive: true, withFileTypes: true })) {
          if (entry.isFile()) await sync(join(entry.parentPath, entry.name));
        }
        await putFolder(temporary, target, `${name}.old`);
      } else {
        await sync(temporary);
        await rename(temporary, target);
      }
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
    await rm(`${temporary}-journal`, { force: true });
  }
}

async function sync(path: string): Promise<void> {
  const file = await open(path, "r+");
  await file.sync().finally(() => file.close());
}

async function putFolder(temporary: string, target: string, old: string): Promise<void> {
  const stood = await rename(target, old).then(
    () => true,
    () => false,
  );
  try {
    await rename(temporary, target);
  } catch (error) {
    if (stood) await rename(old, target);
    throw error;
  }
  await rm(old, { recursive: true, force: true });
}
