import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import type { SiglipError } from "../../support/error.ts";
import { attempt } from "../file.ts";
import { BlockFile, type BlockFileOptions } from "./blocks.ts";
import { cacheFolder } from "./folders.ts";
import { isOid } from "./hub-repository.ts";
import { isFolderInside, makeFolder, readNote, removeFile, writeNote } from "./inside.ts";

/** What a server said of a file. */
export interface FileNote {
  /** Strong validator of the content. */
  readonly etag: string;
  readonly size: number;
}

/** The file that says what a folder is of. */
export const ADDRESS = ".address";

/**
 * Partial files of one repository or one server's folder: what has been fetched of them, by `partName`, under `parts`,
 * and beside that for every name what it stood for when it was asked for last, so that nobody needs to be asked for
 * what is there.
 */
export class PartialStore {
  /** Why nothing can be kept, once it has been told. */
  refusal: SiglipError | undefined;
  readonly folder: string;
  private readonly address: string | undefined;

  /** `address` says what the folder is of, where its name does not. */
  constructor(folder: string, address?: string) {
    this.folder = folder;
    this.address = address;
  }

  /** What the server said of a file. */
  async known(file: string): Promise<FileNote | undefined> {
    const path = join(this.folder, file);
    const text = (await isFolderInside(cacheFolder(), dirname(path))) ? await readNote(path) : undefined;
    const [, size, etag] = /^(\d{1,15}) (\S{1,200})\n$/.exec(text ?? "") ?? [];
    return etag === undefined ? undefined : { etag, size: Number(size) };
  }

  async note(file: string, { etag, size }: FileNote): Promise<void> {
    const before = await this.known(file);
    if (before?.etag === etag && before.size === size) return;
    const path = join(this.folder, file);
    await attempt(path, "write", async () => {
      await makeFolder(cacheFolder(), dirname(path));
      if (this.address) await writeNote(join(this.folder, ADDRESS), this.address);
      await writeNote(path, `${size} ${etag}\n`);
    });
  }

  /** Whether there was no such file when it was asked for last. */
  async isAbsent(file: string): Promise<boolean> {
    const path = this.absence(file);
    return (await isFolderInside(cacheFolder(), dirname(path))) && (await readNote(path)) !== undefined;
  }

  async noteAbsent(file: string): Promise<void> {
    if (await this.isAbsent(file)) return;
    const path = this.absence(file);
    await makeFolder(cacheFolder(), dirname(path));
    await writeNote(path, "");
  }

  /** Opens or begins a partial file. Rejects with a SiglipError where the cache cannot be written. */
  async open(file: string, { etag, size }: FileNote, options: Omit<BlockFileOptions, "size">): Promise<BlockFile> {
    const path = this.path(file, etag);
    return attempt(path, "write", async () => {
      await makeFolder(cacheFolder(), dirname(path));
      return BlockFile.open(path, { ...options, size });
    });
  }

  /** Forgets what a file stood for, and what has been fetched of that. */
  async forget(file: string, { etag }: FileNote): Promise<void> {
    await removeFile(cacheFolder(), join(this.folder, file));
    await this.remove(file, etag);
  }

  /** Forgets what has been fetched of a file's content. */
  async remove(file: string, etag: string): Promise<void> {
    const path = this.path(file, etag);
    for (const one of [path, `${path}.journal`]) await removeFile(cacheFolder(), one);
  }

  private absence(file: string): string {
    return join(this.folder, "absent", file);
  }

  private path(file: string, etag: string): string {
    return join(this.folder, "parts", partName(file, etag));
  }
}

/**
 * Under what name the bytes of a content lie: its digest, which names them wherever they are. Any other validator tells
 * the contents of one file from each other and may be that of another file, too.
 */
export function partName(file: string, etag: string): string {
  return isOid(etag) ? etag : createHash("sha256").update(`${file}\n${etag}`).digest("hex");
}
