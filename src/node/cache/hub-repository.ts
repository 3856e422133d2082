import { createHash } from "node:crypto";
import { copyFile, link, open, readdir, realpath, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { mismatch } from "../../support/error.ts";
import { NO_FOLLOW } from "../descriptor.ts";
import { attempt, briefSource, type FileSource, fileSource } from "../file.ts";
import { fileInside, isFile, isFolderInside, makeFolder, readNote, temporaryName, writeNote } from "./inside.ts";

/** What names a content for git or, for large files, LFS: SHA-1 of a blob object, or SHA-256. */
export function isOid(etag: string): boolean {
  return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag);
}

/**
 * Whether a file's bytes are those of that name; the SHA-1 may also be the bytes' own, by which some mirrors of the Hub
 * go.
 */
export async function matches(path: string, oid: string, signal?: AbortSignal): Promise<boolean> {
  const source = await fileSource(path);
  const sha1 = () => createHash("sha1");
  const hashes = oid.length === 64 ? [createHash("sha256")] : [sha1().update(`blob ${source.size}\0`), sha1()];
  try {
    for (let at = 0; at < source.size; at += 2 ** 20) {
      const bytes = await source.read(at, Math.min(2 ** 20, source.size - at), signal);
      for (const hash of hashes) hash.update(bytes);
    }
    return hashes.some((hash) => hash.digest("hex") === oid);
  } finally {
    await source.close();
  }
}

const TEMPORARY = /^\.siglip-[\w-]+\.tmp$/;

/**
 * One model in the cache that Hugging Face's libraries share: `blobs` by content, `snapshots` of commits with links
 * to them, `refs` from branches and tags to commits, `.no_exist` for what a commit lacks. Whatever gets a name here is
 * whole.
 */
export class HubRepository {
  private readonly folder: string;

  /** `id` is `organisation/name`; `root` the folder of all repositories. */
  constructor(id: string, root: string) {
    this.folder = join(root, `models--${id.replaceAll("/", "--")}`);
  }

  /** Whether a path leads into this repository. */
  holds(path: string): boolean {
    return path.startsWith(join(this.folder, sep));
  }

  /** The commit that a revision meant when it was asked for last. */
  async commit(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const path = this.path("refs", ...revision.split("/"));
    if (!(await isFolderInside(this.folder, dirname(path)))) return undefined;
    const commit = ((await readNote(path)) ?? "").trim();
    return isCommit(commit) ? commit : undefined;
  }

  async setCommit(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commit(revision)) === commit) return;
    const path = this.path("refs", ...revision.split("/"));
    // Every file among the refs counts as one: the temporary one lies elsewhere.
    const temporary = await this.temporary();
    await attempt(path, "write", async () => {
      await makeFolder(this.folder, dirname(path));
      await writeNote(path, commit, temporary);
    });
  }

  /** The path of a file of a commit, where it is there. */
  async find(commit: string, file: string): Promise<string | undefined> {
    const path = this.path("snapshots", commit, file);
    return (await fileInside(this.folder, path)) ? path : undefined;
  }

  /** The file behind a name of this repository; never one elsewhere. */
  async open(path: string, brief: boolean): Promise<FileSource> {
    const real = await fileInside(this.folder, path);
    if (real) return { ...(await (brief ? briefSource : fileSource)(real, NO_FOLLOW)), name: path };
    throw mismatch("storage", path, "a file of the cache", "none, or a link out of it", "remove it and try again");
  }

  /** Whether a commit is known to lack a file. */
  async isAbsent(commit: string, file: string): Promise<boolean> {
    const path = this.path(".no_exist", commit, file);
    return (await isFile(path)) && isFolderInside(this.folder, dirname(path));
  }

  async setAbsent(commit: string, file: string): Promise<void> {
    const path = this.path(".no_exist", commit, file);
    await attempt(path, "write", async () => {
      await makeFolder(this.folder, dirname(path));
      await writeNote(path, "", await this.temporary());
    });
  }

  /** The name of the content behind a snapshot's file, where the cache has it as a link. */
  async oid(path: string): Promise<string | undefined> {
    const name = basename(await realpath(path));
    return isOid(name) ? name : undefined;
  }

  /**
   * Gives a content that is there a name in a commit, and returns that path; undefined where the content is not there.
   */
  async link(commit: string, file: string, oid: string): Promise<string | undefined> {
    const blob = this.path("blobs", oid);
    if (!(await isFile(blob))) return undefined;
    const path = this.path("snapshots", commit, file);
    await attempt(path, "write", async () => {
      await makeFolder(this.folder, dirname(path));
      await this.tie(blob, path);
    });
    return path;
  }

  /** Moves a whole, verified file into `blobs`, gives it a name in a commit and returns that path. */
  async place(from: string, commit: string, file: string, oid: string): Promise<string> {
    const blob = this.path("blobs", oid);
    await attempt(blob, "write", async () => {
      await makeFolder(this.folder, dirname(blob));
      // Of two that finish at once the first has put it there.
      if (!(await isFile(blob))) await move(from, blob, await this.temporary());
    });
    return (await this.link(commit, file, oid)) ?? blob;
  }

  /** Renames a damaged file, so that nothing takes it for whole and nothing of it is lost; returns its new path. */
  async setAside(path: string): Promise<string> {
    const real = await realpath(path);
    await attempt(real, "write", () => rename(real, `${real}.damaged`));
    if (real !== path) await rm(path, { force: true });
    return `${real}.damaged`;
  }

  private async tie(blob: string, path: string): Promise<void> {
    try {
      await symlink(relative(dirname(path), blob), path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") {
        if (await fileInside(this.folder, path)) return;
        // A link to nothing, since whoever it led to is gone, or out of the cache.
        await rm(path, { force: true });
        return this.tie(blob, path);
      }
      if (code === "ENOSPC" || code === "EDQUOT" || code === "EROFS") throw error;
      // Links are refused here: a second name for the bytes, else a second copy.
      const temporary = await this.temporary();
      await link(blob, temporary).catch(() => copyFile(blob, temporary));
      await rename(temporary, path);
    }
  }

  /**
   * A name for what is not whole yet, on the file system of the cache but in none of its folders. What a killed
   * process left under such a name, and nobody has written to for an hour, is removed.
   */
  private async temporary(): Promise<string> {
    for (const name of await readdir(this.folder).catch(() => [])) {
      if (!TEMPORARY.test(name)) continue;
      const path = join(this.folder, name);
      const age = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Number.POSITIVE_INFINITY);
      if (age > 3_600_000) await rm(path, { force: true });
    }
    return temporaryName(this.folder);
  }

  private path(...parts: string[]): string {
    const bad = parts.find((part) => !/^(?!\.\.?$)[^/\\:\p{Cc}]{1,200}$/u.test(part));
    if (bad === undefined) return join(this.folder, ...parts);
    throw mismatch(
      "bad-input",
      "the model",
      "a file or revision of it",
      `the name ${JSON.stringify(bad)}`,
      "correct it",
    );
  }
}

/** Renames a file, by way of a synchronised copy where the target is on another file system. */
async function move(from: string, to: string, temporary: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EXDEV") throw error;
    try {
      await copyFile(from, temporary);
      const copy = await open(temporary, "r+");
      await copy.sync().finally(() => copy.close());
      await rename(temporary, to);
    } finally {
      await rm(temporary, { force: true });
    }
    await rm(from, { force: true });
  }
}

/** Whether a revision is a commit by itself. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}
