import { stat } from "node:fs/promises";
import type { FoundEntry } from "../bulk/sources/archive.ts";
import { openSources } from "../bulk/sources/open.ts";
import { mismatch, shorten } from "../support/error.ts";

/** The archive on this machine in which `photos.tar/cat.jpg` lies; undefined for a name of any other form. */
export async function archiveOf(name: string): Promise<string | undefined> {
  const archive = /^(.*?\.(?:tar|tgz|tar\.gz))[/\\]/is.exec(name)?.[1];
  if (archive === undefined) return undefined;
  const isFile = await stat(archive).then(
    (found) => found.isFile(),
    () => false,
  );
  return isFile ? archive : undefined;
}

/** Pictures in archives, asked for by their names. Those asked for in their order are found in one way through. */
export class Archives {
  private archive: string | undefined;
  private entries: AsyncIterator<FoundEntry> | undefined;

  /** A picture's file. Rejects with a SiglipError where the archive has none of this name. */
  async load(archive: string, name: string, signal?: AbortSignal): Promise<Blob> {
    for (const again of archive === this.archive ? [false, true] : [true]) {
      if (again) await this.begin(archive, signal);
      for (let next = await this.entries!.next(); !next.done; next = await this.entries!.next()) {
        const { kind, name: found } = next.value;
        if (kind === "image" && found === name) return (await next.value.load(signal)) as Blob;
      }
    }
    throw mismatch("not-found", shorten(name), "a picture in this archive", "none of this name", "embed it again");
  }

  async close(): Promise<void> {
    await this.entries?.return?.();
    this.archive = undefined;
  }

  private async begin(archive: string, signal?: AbortSignal): Promise<void> {
    await this.close();
    const source = await openSources([archive], { signal });
    this.entries = source[Symbol.asyncIterator]();
    this.archive = archive;
  }
}
