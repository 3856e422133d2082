import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Spool } from "../network/ranges.ts";
import { attempt, fileSource, writeFileAtomic } from "./file.ts";

/**
 * Brings a whole file to a temporary one, which is gone when it is closed, and nearly everywhere when the process ends.
 */
export const temporarySpool: Spool = async (file, signal) => {
  const folder = await attempt(tmpdir(), "write", () => mkdtemp(join(tmpdir(), "siglip-")));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const path = join(folder, "whole");
    await writeFileAtomic(path, file.stream(0, file.size, signal), signal);
    const source = await fileSource(path);
    // Windows keeps the name of a file that is open.
    await remove().catch(() => {});
    return {
      name: file.name,
      size: source.size,
      read: source.read,
      async close() {
        await source.close();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
};
