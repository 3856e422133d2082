import { randomUUID } from "node:crypto";
import { readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, join } from "node:path";

/** A file that nobody has written to for so long belongs to nobody any more, in milliseconds. */
const ABANDONED = 24 * 3600 * 1000;

/** A name that nobody else has, and that says which process of which machine has it. */
export function runName(): string {
  return `${host()}.${process.pid}.${randomUUID()}`;
}

/**
 * Whether the process that made a file of such a name, with an ending, has ended, as far as can be
 * told: it was one of this machine and is gone, or the file is a day old.
 */
export async function isAbandoned(path: string): Promise<boolean> {
  const [, machine, pid] = /^(?:\.siglip-\.?)?([\w-]+)\.(\d+)\.[\w-]{36}\.[\w.-]+$/.exec(basename(path)) ?? [];
  if (machine === undefined) return false;
  const written = (await stat(path).catch(() => undefined))?.mtimeMs ?? Number.POSITIVE_INFINITY;
  if (Date.now() - written > ABANDONED) return true;
  if (machine !== host()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** A name for what `writeFileAtomic` has not finished. */
export function temporaryPath(folder: string): string {
  return join(folder, `.siglip-.${runName()}.tmp`);
}

/** Removes what processes that were killed had not finished in a folder: files, and folders in which one was made. */
export async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!/^\.siglip-.*\.tmp(\.\w+)?(-journal)?$/.test(name)) continue;
    const path = join(folder, name);
    if (await isAbandoned(path)) await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

function host(): string {
  return hostname()
    .replaceAll(/[^\w-]/g, "-")
    .slice(0, 60);
}
