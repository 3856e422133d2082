import { readlink, realpath, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** Links that lead to links: as many as Linux follows. */
const HOPS = 40;

/**
 * The path at which a write would make or replace a file: where a link leads, whether something stands there or not.
 * Rejects with the file system's error for links in a circle.
 */
export async function linkTarget(path: string): Promise<string> {
  let target = path;
  for (let hop = 0; hop < HOPS; hop++) {
    const link = await readlink(target).catch(() => undefined);
    if (link === undefined) return target;
    target = resolve(await realpath(dirname(target)), link);
  }
  await stat(path);
  return target;
}
