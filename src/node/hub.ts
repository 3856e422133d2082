import { stat } from "node:fs/promises";
import { join } from "node:path";
import { openRemote, type RemoteFile } from "../checkpoint/http.ts";
import type { Source } from "../checkpoint/source.ts";
import { SiglipError } from "../error.ts";
import { type CompleteFile, type KeepOptions, type Kept, type KeptFiles, keepKnown, keepRemote } from "./cache.ts";
import type { BlockFile } from "./cache-blocks.ts";
import { PartialStore } from "./cache-store.ts";
import { fileSource } from "./file.ts";
import { HubRepository, hubCacheFolder, isOid, matches } from "./hub-cache.ts";

/** Files up to this many bytes are fetched whole, and looked through whenever they are opened. */
const SMALL = 2 ** 24;

/** How long a Hub may take to say what a revision means when the cache knows what it meant, in milliseconds. */
const REVALIDATION = 10_000;

/** Which files of the Hub, and how they are fetched. */
export interface HubOptions extends KeepOptions {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

/**
 * The files of a model on the Hub. What is in Hugging Face's cache is used; what is not is kept in partial files of this package's own
 * cache, and moved to Hugging Face's when it is whole and its bytes are those that the Hub names. The Hub is asked once what the revision
 * means by now, and without an answer it is what it meant before.
 */
export async function hubFiles(id: string, options: HubOptions): Promise<KeptFiles> {
  const repository = new HubRepository(id);
  const { revision } = options;
  const before = await repository.commit(revision);
  if (before === revision) return new HubFiles(id, repository, before, options);
  if (isOffline()) {
    if (before) return new HubFiles(id, repository, before, options);
    throw new SiglipError(
      `${id}: wanted revision ${revision}, found HF_HUB_OFFLINE set and nothing of it in ${hubCacheFolder()}; unset it or download the model first.`,
    );
  }
  const signals = [options.signal, before && AbortSignal.timeout(REVALIDATION)].filter(
    (one) => one instanceof AbortSignal,
  );
  const url = new URL(`${options.endpoint}/${id}/resolve/${encodeURIComponent(revision)}/config.json`);
  try {
    const config = await openRemote(url, { ...options, signal: AbortSignal.any(signals) });
    if (!config?.commit) {
      throw new SiglipError(
        `${url.href}: wanted the config.json of a model on a Hub, found none; check the model's id.`,
      );
    }
    return new HubFiles(id, repository, config.commit, options, config);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (before) return new HubFiles(id, repository, before, options);
    throw error;
  }
}

function isOffline(): boolean {
  return /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? "");
}

class HubFiles implements KeptFiles {
  readonly name: string;
  readonly version: string;
  private readonly repository: HubRepository;
  private readonly store: PartialStore;
  private readonly options: HubOptions;
  /** Of the request that told the commit. */
  private readonly config: RemoteFile | undefined;
  private readonly opened = new Map<string, Promise<Kept | undefined>>();

  constructor(id: string, repository: HubRepository, commit: string, options: HubOptions, config?: RemoteFile) {
    this.name = id;
    this.version = commit;
    this.repository = repository;
    this.store = new PartialStore("hub", id.replaceAll("/", "--"));
    this.options = options;
    this.config = config;
  }

  async open(file: string, signal?: AbortSignal): Promise<Source | undefined> {
    const opening = this.opened.get(file) ?? this.find(file, signal);
    this.opened.set(file, opening);
    try {
      return (await opening)?.source;
    } catch (error) {
      this.opened.delete(file);
      throw error;
    }
  }

  async complete(signal?: AbortSignal): Promise<CompleteFile[]> {
    const files: CompleteFile[] = [];
    for (const [file, opening] of this.opened) {
      const kept = await opening;
      if (!kept) continue;
      const whole = await this.finish(file, kept, signal);
      this.opened.set(file, Promise.resolve(whole));
      files.push({ name: file, size: whole.source.size, path: whole.source.name });
    }
    return files;
  }

  async close(): Promise<void> {
    const all = [...this.opened];
    this.opened.clear();
    for (const [file, opening] of all) {
      const kept = await opening.catch(() => undefined);
      const whole = kept?.blocks?.complete ? this.finish(file, kept) : kept;
      await (await whole)?.close();
    }
  }

  private async find(file: string, signal?: AbortSignal): Promise<Kept | undefined> {
    const path = await this.repository.find(this.version, file);
    if (path && (await this.isIntact(path, SMALL, signal))) return this.whole(path);
    const kept = await this.fetch(file, signal);
    if (!kept?.blocks || (kept.source.size > SMALL && !kept.blocks.complete)) return kept;
    try {
      return await this.finish(file, kept, signal);
    } catch (error) {
      await kept.close();
      throw error;
    }
  }

  /** A file that Hugging Face's cache does not have under this commit. */
  private async fetch(file: string, signal?: AbortSignal): Promise<Kept | undefined> {
    const { repository, version, store } = this;
    const options = { ...this.options, signal };
    const key = join(version, file);
    const url = this.url(file);
    const known = await store.known(key);
    if (known) return (await this.linked(file, known.etag)) ?? keepKnown(url, known, store, key, options);
    if (isOffline() || (await repository.isAbsent(version, file))) return undefined;
    const remote = file === "config.json" && this.config ? this.config : await openRemote(url, options);
    if (remote) return (await this.linked(file, remote.etag)) ?? keepRemote(remote, store, key, options);
    await repository.setAbsent(version, file).catch(() => {});
    return undefined;
  }

  /** A content that the cache has under another commit. */
  private async linked(file: string, etag = ""): Promise<Kept | undefined> {
    if (!isOid(etag)) return undefined;
    const path = await this.repository.link(this.version, file, etag).catch(() => undefined);
    return path === undefined ? undefined : this.whole(path);
  }

  /** Whether a file of a snapshot, where it has at most so many bytes, holds what its name says. One that does not is set aside. */
  private async isIntact(path: string, most: number, signal?: AbortSignal): Promise<boolean> {
    const { repository, options } = this;
    const oid = await repository.oid(path);
    if (oid === undefined || (await stat(path)).size > most || (await matches(path, oid, signal))) return true;
    const aside = await repository.setAside(path);
    options.onWarning?.(`${path}: found damaged, kept as ${aside}; it is fetched again.`);
    return false;
  }

  /** Makes a file whole, verifies it and brings it to its place in Hugging Face's cache, as far as that can be written. */
  private async finish(file: string, kept: Kept, signal?: AbortSignal): Promise<Kept> {
    const { blocks, etag = "", path } = kept;
    if (!blocks) {
      if (path === undefined || (await this.isIntact(path, Number.POSITIVE_INFINITY, signal))) return kept;
      await kept.close();
      const again = await this.fetch(file, signal);
      return again ? this.finish(file, again, signal) : kept;
    }
    if (!isOid(etag)) {
      await this.fill(file, blocks, signal);
      return kept;
    }
    try {
      await this.verify(file, blocks, etag, signal);
      await blocks.close();
      return await this.place(file, blocks, etag);
    } catch (error) {
      // Another process may have brought it to its place meanwhile.
      const placed = await this.linked(file, etag);
      if (!placed) throw error;
      await blocks.close().catch(() => {});
      return placed;
    }
  }

  private fill(file: string, blocks: BlockFile, signal?: AbortSignal): Promise<void> {
    const { onDownload } = this.options;
    return blocks.fill(signal, onDownload && ((present) => onDownload(file, present, blocks.size)));
  }

  /** Fetches what is missing and, once, what turns out to be wrong. */
  private async verify(file: string, blocks: BlockFile, oid: string, signal?: AbortSignal): Promise<void> {
    for (let again = false; ; ) {
      await this.fill(file, blocks, signal);
      await blocks.sync();
      if (await matches(blocks.path, oid, signal)) return;
      if (await blocks.check(signal)) continue;
      if (again) {
        throw new SiglipError(
          `${blocks.name}: wanted bytes of the name ${oid}, found others twice; something on the way from the server changes them, try another connection.`,
        );
      }
      const aside = await blocks.restart();
      this.options.onWarning?.(
        `${blocks.name}: found other bytes than the Hub names, kept as ${aside}; it is fetched again.`,
      );
      again = true;
    }
  }

  private async place(file: string, { path, size }: BlockFile, etag: string): Promise<Kept> {
    const { repository, version, store, options } = this;
    try {
      const placed = await repository.place(path, version, file, etag);
      await store.remove(etag);
      return await this.whole(placed);
    } catch (error) {
      if (!(error instanceof SiglipError)) throw error;
      options.onWarning?.(`${path} stays there: ${error.message}`);
      return keepKnown(this.url(file), { etag, size }, store, join(version, file), options);
    }
  }

  /** A file of a snapshot. From then on, since there is something of it, the revision means this commit for everybody. */
  private async whole(path: string): Promise<Kept> {
    await this.repository.setCommit(this.options.revision, this.version).catch(() => {});
    const source = await fileSource(path);
    return { source, path, close: () => source.close() };
  }

  private url(file: string): URL {
    return new URL(`${this.options.endpoint}/${this.name}/resolve/${this.version}/${encodeURIComponent(file)}`);
  }
}
