import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Source } from "../../checkpoint/source.ts";
import { openRemote, type RemoteFile } from "../../network/http.ts";
import { type HubModel, hubUrl, parseEndpoint, readCommit } from "../../network/hub.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import type { BlockFile } from "./blocks.ts";
import {
  type CompleteFile,
  isNoted,
  type KeptFile,
  type KeptFiles,
  type KeptFilesOptions,
  keepKnown,
  keepRemote,
  weaklyNamed,
} from "./cache.ts";
import { endpointFolder, hubCacheFolder } from "./folders.ts";
import { HubRepository, isCommit, isOid, matches } from "./hub-repository.ts";
import { type FileNote, PartialStore } from "./partial-store.ts";

/** Files up to this many bytes are looked through whenever they are opened and, but for weights, fetched whole. */
const SMALL = 2 ** 24;

/** How long a Hub may take to say what a revision means when the cache knows what it meant, in milliseconds. */
const REVALIDATION = 10_000;

/**
 * The files of a model on the Hub, all of one commit. What is in Hugging Face's cache is used; what is not is kept in
 * partial files of this package's own cache, and moved to Hugging Face's when it is whole and its bytes are those that
 * the Hub names. The Hub is asked once what the revision means by now; without an answer, and with HF_HUB_OFFLINE set,
 * it is what it meant before.
 */
export function keptHubFiles(model: HubModel, options: KeptFilesOptions = {}): KeptFiles {
  return new HubFiles(model, options);
}

class HubFiles implements KeptFiles {
  readonly name: string;
  private readonly model: HubModel;
  private readonly endpoint: string;
  /** Where whole files go. */
  private readonly repository: HubRepository;
  /** Where whole files may be: there and, read only, in Hugging Face's cache. */
  private readonly repositories: readonly HubRepository[];
  private readonly store: PartialStore;
  private readonly options: KeptFilesOptions;
  private readonly opened = new Map<string, Promise<KeptFile | undefined>>();
  /** Whole files that Hugging Face's cache did not take. */
  private readonly staying = new Set<string>();
  private commit: string | undefined;
  private resolving: Promise<string> | undefined;
  /** Of the request that told the commit. */
  private config: RemoteFile | undefined;
  /** Whether the Hub has kept silent when it was asked for a file. */
  private silent = false;
  /** Whether the Hub gave no answer, or is not to be asked. */
  private offline = /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? "");

  constructor(model: HubModel, options: KeptFilesOptions) {
    const { id, revision } = model;
    this.name = revision === "main" ? id : `${id}@${revision}`;
    this.model = model;
    this.endpoint = parseEndpoint(options.endpoint);
    const own = endpointFolder(this.endpoint);
    const shared = new HubRepository(id, hubCacheFolder());
    const trusted = this.endpoint === parseEndpoint(options.trusted);
    this.repository = trusted ? shared : new HubRepository(id, own);
    this.repositories = trusted ? [shared] : [this.repository, shared];
    this.store = new PartialStore(join(own, id.replaceAll("/", "--")));
    this.options = { ...options, pages: false };
  }

  get version(): string | undefined {
    return this.commit;
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
    for (const [name, opening] of this.opened) {
      const kept = await opening;
      if (!kept) continue;
      const whole = await this.finish(name, kept, signal);
      this.opened.set(name, Promise.resolve(whole));
      if (whole.path === undefined) {
        if (this.store.refusal) throw this.store.refusal;
        throw mismatch("storage", name, "to keep it", "no place for it", `make ${this.store.folder} writable`);
      }
      files.push({ name, size: whole.source.size, path: whole.path });
    }
    return files;
  }

  async close(): Promise<void> {
    const all = [...this.opened];
    this.opened.clear();
    for (const [file, opening] of all) {
      let kept = await opening.catch(() => undefined);
      // What became whole on the way goes to its place; a failure leaves it where it is.
      if (kept?.blocks?.complete && !this.staying.has(file)) kept = await this.finish(file, kept).catch(() => kept);
      await kept?.close();
    }
  }

  private async find(file: string, signal?: AbortSignal): Promise<KeptFile | undefined> {
    const commit = this.commit ?? (await this.decide(signal));
    for (const repository of this.repositories) {
      const path = await repository.find(commit, file);
      if (path && (await this.isIntact(path, SMALL, signal))) return this.whole(path);
      if (await repository.isAbsent(commit, file)) return undefined;
    }
    const kept = await this.fetch(file, signal);
    if (!kept?.blocks) return kept;
    const readInParts = kept.blocks.size > SMALL || file.endsWith(".safetensors");
    if (readInParts && !kept.blocks.complete) return kept;
    try {
      return await this.finish(file, kept, signal);
    } catch (error) {
      // Where nothing more can be written it is passed on, which a warning has told of.
      if (kept.blocks.refusal) return kept;
      await kept.close();
      throw error;
    }
  }

  /** The one commit of all files, whoever asks first. */
  private async decide(signal?: AbortSignal): Promise<string> {
    this.resolving ??= this.resolve(signal).finally(() => {
      this.resolving = undefined;
    });
    this.commit = await this.resolving;
    return this.commit;
  }

  /** The commit that the revision means by now. */
  private async resolve(signal?: AbortSignal): Promise<string> {
    const { model, endpoint, options } = this;
    if (isCommit(model.revision)) return model.revision;
    const before = await firstOf(this.repositories, (repository) => repository.commit(model.revision));
    if (this.offline) {
      if (before) return before;
      throw mismatch(
        "not-found",
        this.name,
        "this model",
        `HF_HUB_OFFLINE set and nothing of it in ${hubCacheFolder()}`,
        "unset it, or download the model first",
      );
    }
    const limit = before === undefined ? [] : [AbortSignal.timeout(REVALIDATION)];
    const asking = AbortSignal.any([...(signal ? [signal] : []), ...limit]);
    try {
      this.config = await this.request(hubUrl(endpoint, model, "config.json"), { ...options, signal: asking });
      return this.config?.commit ?? (await readCommit(model, options, asking));
    } catch (error) {
      signal?.throwIfAborted();
      if (!before) throw error;
      this.offline = true;
      return before;
    }
  }

  /** A file that Hugging Face's cache does not have under this commit. */
  private async fetch(file: string, signal?: AbortSignal): Promise<KeptFile | undefined> {
    const { repository, store } = this;
    const commit = this.commit!;
    const key = join(commit, file);
    const options = { ...this.options, signal };
    const note = await store.known(key);
    if (note) return (await this.linked(file, note.etag)) ?? this.continued(file, note, options);
    if (this.offline) return undefined;
    const remote = await this.ask(file, options);
    if (this.offline) return undefined;
    if (remote) return (await this.linked(file, remote.etag)) ?? keepRemote(remote, store, key, options);
    await repository.setAbsent(commit, file).catch(() => {});
    return undefined;
  }

  /** A file of which some was fetched before; where the Hub says that it is another by now it is fetched anew. */
  private async continued(file: string, note: FileNote, options: KeptFilesOptions): Promise<KeptFile> {
    const { store } = this;
    const key = join(this.commit!, file);
    const url = this.url(file);
    let remote: RemoteFile | undefined;
    const ask = async (signal?: AbortSignal) => {
      remote ??= await this.request(url, { ...this.options, signal });
      return remote;
    };
    const kept = await keepKnown(url.href, note, store, key, ask, options);
    if (this.offline || this.silent || !kept.blocks || kept.blocks.complete) return kept;
    try {
      await ask(AbortSignal.any([...(options.signal ? [options.signal] : []), AbortSignal.timeout(REVALIDATION)]));
    } catch {
      options.signal?.throwIfAborted();
      this.silent = true;
    }
    if (!remote || isNoted(remote, note)) return kept;
    await kept.close();
    await store.forget(key, note).catch(() => {});
    return (await this.linked(file, remote.etag)) ?? keepRemote(remote, store, key, options);
  }

  private async ask(file: string, options: KeptFilesOptions): Promise<RemoteFile | undefined> {
    if (file === "config.json" && this.config) return this.config;
    try {
      return await this.request(this.url(file), options);
    } catch (error) {
      options.signal?.throwIfAborted();
      // Of a commit that was downloaded, and has not been asked for since, a file that is not there is one that it
      // lacks.
      const find = (repository: HubRepository) => repository.find(this.commit!, "config.json");
      if (this.config || !(await firstOf(this.repositories, find))) throw error;
      this.offline = true;
      return undefined;
    }
  }

  /** A commit says what a file holds, so that its parts are kept whatever the server tells it by. */
  private async request(url: URL, options: KeptFilesOptions): Promise<RemoteFile | undefined> {
    const remote = await openRemote(url, options);
    return remote && weaklyNamed(remote);
  }

  /**
   * Whether a file of a snapshot, where it has at most so many bytes, holds what its name says. One that does not is
   * set aside.
   */
  private async isIntact(path: string, most: number, signal?: AbortSignal): Promise<boolean> {
    const oid = await this.repository.oid(path);
    if (oid === undefined || (await stat(path)).size > most || (await matches(path, oid, signal))) return true;
    // What others have put into their cache is theirs to mend.
    if (!this.repository.holds(path)) return false;
    const aside = await this.repository.setAside(path);
    this.options.onWarning?.(`${path}: found damaged, kept as ${aside}; it is fetched again.`);
    return false;
  }

  /**
   * Makes a file whole, verifies it and brings it to its place in Hugging Face's cache, as far as that can be written.
   */
  private async finish(file: string, kept: KeptFile, signal?: AbortSignal, anew = false): Promise<KeptFile> {
    const { blocks, etag = "", path } = kept;
    if (!blocks) {
      if (path === undefined || (await this.isIntact(path, Number.POSITIVE_INFINITY, signal))) return kept;
      await kept.close();
      const again = await this.fetch(file, signal);
      if (again) return this.finish(file, again, signal);
      throw mismatch(
        "not-found",
        this.name,
        `${file} again`,
        "that it is not there any more",
        "choose another revision",
      );
    }
    try {
      await this.verify(blocks, etag, signal);
      return isOid(etag) ? await this.place(file, kept, etag) : kept;
    } catch (error) {
      // Another process may have brought it to its place meanwhile.
      const placed = await this.linked(file, etag);
      const outdated = !anew && !(await this.store.known(join(this.commit!, file)));
      if (!placed && !outdated) throw error;
      await kept.close();
      if (placed) return placed;
      const again = await this.fetch(file, signal);
      if (!again) throw error;
      return this.finish(file, again, signal, true);
    }
  }

  /** Fetches what is missing and, once, what turns out to be wrong. */
  private async verify(blocks: BlockFile, etag: string, signal?: AbortSignal): Promise<void> {
    const { onDownload, onWarning } = this.options;
    const { name, size } = blocks;
    for (let again = false; ; ) {
      await blocks.fill(signal, onDownload && ((present) => onDownload(name, present, size)));
      await blocks.sync();
      if (isOid(etag) && (await matches(blocks.path, etag, signal))) return;
      if (await blocks.check(signal)) continue;
      if (!isOid(etag)) return;
      if (again) {
        throw mismatch(
          "network",
          name,
          `bytes of the name ${etag}`,
          "others twice",
          "something on the way changes them, try another connection",
        );
      }
      const aside = await blocks.restart();
      onWarning?.(`${name}: found other bytes than the Hub names, kept as ${aside}; it is fetched again.`);
      again = true;
    }
  }

  private async place(file: string, kept: KeptFile, oid: string): Promise<KeptFile> {
    const { path, size } = kept.blocks!;
    // Windows moves no file that is open.
    await kept.close();
    try {
      return await this.whole(await this.repository.place(path, this.commit!, file, oid));
    } catch (error) {
      const placed = await this.linked(file, oid);
      if (placed) return placed;
      if (!(error instanceof SiglipError)) throw error;
      this.staying.add(file);
      this.options.onWarning?.(`${path} stays there: ${error.message}`);
      return this.continued(file, { etag: oid, size }, this.options);
    }
  }

  /** A content that the cache has, maybe under another commit. */
  private async linked(file: string, etag = ""): Promise<KeptFile | undefined> {
    if (!isOid(etag)) return undefined;
    const path = await this.repository.link(this.commit!, file, etag).catch(() => undefined);
    return path && (await this.isIntact(path, SMALL)) ? this.whole(path) : undefined;
  }

  /** A file of a snapshot. Since there is something of this commit, the revision means it from now on for everybody. */
  private async whole(path: string): Promise<KeptFile> {
    await this.repository.setCommit(this.model.revision, this.commit!).catch(() => {});
    const oid = await this.repository.oid(path);
    if (oid) await this.store.remove(path, oid).catch(() => {});
    const repository = this.repositories.find((one) => one.holds(path)) ?? this.repository;
    const source = await repository.open(path, !path.endsWith(".safetensors"));
    return { source, path, close: () => source.close() };
  }

  private url(file: string): URL {
    return hubUrl(this.endpoint, { id: this.model.id, revision: this.commit! }, file);
  }
}

/** The first answer that says something. */
async function firstOf<T>(
  repositories: readonly HubRepository[],
  ask: (repository: HubRepository) => Promise<T | undefined>,
): Promise<T | undefined> {
  for (const repository of repositories) {
    const answer = await ask(repository);
    if (answer) return answer;
  }
  return undefined;
}
