import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Source } from "../../checkpoint/source.ts";
import { openRemote, type RemoteFile } from "../../network/http.ts";
import { filesUnder, isWeights } from "../../network/urls.ts";
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
import { cacheFolder } from "./folders.ts";
import { type FileNote, PartialStore } from "./partial-store.ts";

/**
 * The files of a model under a URL. What is read of them is kept in this package's own cache by URL and strong
 * validator. The server is asked for each file whether it still is what it was; without an answer it is, and a file
 * that it did not have is still absent.
 */
export function keptUrlFiles(place: URL, options: KeptFilesOptions = {}): KeptFiles {
  const { name, npz, urlOf } = filesUnder(place);
  const whole = urlOf(npz ?? "model.safetensors").href;
  const store = new PartialStore(
    join(cacheFolder(), "urls", createHash("sha256").update(whole).digest("hex").slice(0, 32)),
    whole,
  );
  const opened = new Map<string, KeptFile>();
  /** What the server said of the files that were opened. */
  const servers = new Map<string, RemoteFile>();
  /** What the server does not have. */
  const absent = new Set<string>();

  async function find(file: string, signal?: AbortSignal): Promise<KeptFile | undefined> {
    const url = urlOf(file);
    const known = await store.known(file);
    let remote: RemoteFile | undefined;
    try {
      remote = await openRemote(url, { ...options, signal });
    } catch (error) {
      signal?.throwIfAborted();
      if (known) {
        const ask = (signal?: AbortSignal) => openRemote(url, { ...options, signal });
        return keepKnown(url.href, known, store, file, ask, { ...options, signal });
      }
      if (await store.isAbsent(file)) return undefined;
      throw error;
    }
    // Nobody will ask for the former content again. A server that has none by now may be somebody else.
    if (known && remote?.etag !== undefined && known.etag !== remote.etag)
      await store.remove(file, known.etag).catch(() => {});
    if (remote) servers.set(file, remote);
    else if (!known) absent.add(file);
    // Of a place that has anything to be kept: without its server it has neither more nor less.
    if ([...servers.values()].some(({ etag }) => etag !== undefined)) await noteAbsent();
    const kept = remote && known && (await findWhole(remote, known, file));
    return kept ?? (remote && keepRemote(remote, store, file, { ...options, signal }));
  }

  async function noteAbsent(): Promise<void> {
    for (const file of absent) await store.noteAbsent(file).catch(() => {});
    absent.clear();
  }

  /** A whole file that was kept before of a server which can tell it weakly only. */
  async function findWhole(remote: RemoteFile, known: FileNote, file: string): Promise<KeptFile | undefined> {
    const named = weaklyNamed(remote);
    if (remote.etag !== undefined || remote.mark === undefined || !isNoted(named, known)) return undefined;
    const kept = await keepRemote(named, store, file, options);
    if (kept.blocks?.complete) return kept;
    await kept.close();
    return undefined;
  }

  /** A file to be kept as a whole, by whatever its server tells it by. */
  async function begin(file: string): Promise<KeptFile> {
    const named = weaklyNamed(servers.get(file)!);
    // What is there of an earlier try may be of another content.
    await store.remove(file, named.etag!).catch(() => {});
    return keepRemote(named, store, file, options);
  }

  return {
    name,
    npz,
    get version() {
      const tags = [...opened]
        .filter(([file]) => isWeights(file))
        .map(([, { etag }]) => (etag?.startsWith("weak-") ? undefined : etag));
      return tags.length > 0 && !tags.includes(undefined) ? tags.join("+") : undefined;
    },
    async open(file, signal): Promise<Source | undefined> {
      const kept = opened.get(file) ?? (await find(file, signal));
      if (kept) opened.set(file, kept);
      return kept?.source;
    },
    async complete(signal) {
      const files: CompleteFile[] = [];
      for (const [file, kept] of opened) {
        if (!kept.blocks && !store.refusal) {
          await kept.close();
          opened.set(file, await begin(file));
        }
        const { blocks } = opened.get(file)!;
        if (!blocks) throw store.refusal;
        const { name, size, path } = blocks;
        do {
          await blocks.fill(signal, (present) => options.onDownload?.(name, present, size));
        } while (await blocks.check(signal));
        files.push({ name: file, size, path });
      }
      if (files.length > 0) await noteAbsent();
      return files;
    },
    async close() {
      const all = [...opened.values()];
      opened.clear();
      for (const kept of all) await kept.close();
    },
  };
}
