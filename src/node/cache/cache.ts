import { createHash } from "node:crypto";
import type { Source } from "../../checkpoint/source.ts";
import type { ModelFiles } from "../../files/model-files.ts";
import type { RemoteFile } from "../../network/http.ts";
import { remoteSource } from "../../network/ranges.ts";
import type { UrlOptions } from "../../network/urls.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import { temporarySpool } from "../spool.ts";
import type { BlockFile } from "./blocks.ts";
import type { FileNote, PartialStore } from "./partial-store.ts";

/** How kept files are fetched. */
export interface KeptFilesOptions extends UrlOptions {
  readonly onWarning?: (message: string) => void;
  readonly signal?: AbortSignal;
  /** The Hub of which files enter Hugging Face's shared cache: https://huggingface.co by default. */
  readonly trusted?: string;
}

/** A model's files, which are kept on this machine as far as they are fetched. */
export interface KeptFiles extends ModelFiles {
  /**
   * Fetches what is missing of all files that were opened and verifies them; says where they lie. What `open` gave is
   * closed then. Rejects with a SiglipError where a file cannot be kept.
   */
  complete(signal?: AbortSignal): Promise<CompleteFile[]>;
}

/** A file that is there as a whole. */
export interface CompleteFile {
  readonly name: string;
  readonly size: number;
  readonly path: string;
}

/** A file that is fetched as it is read, or is there. */
export interface KeptFile {
  readonly source: Source;
  /** The partial file; undefined where it is whole, or cannot be kept. */
  readonly blocks?: BlockFile;
  /** Where it is kept; undefined where it cannot be. */
  readonly path?: string;
  readonly etag?: string;
  close(): Promise<void>;
}

/**
 * Keeps what is read of a file on a server; without a validator or a place to write it is fetched whenever it is read.
 */
export async function keepRemote(
  remote: RemoteFile,
  store: PartialStore,
  file: string,
  options: KeptFilesOptions,
): Promise<KeptFile> {
  const { etag, size, name } = remote;
  if (etag === undefined) return passOn(remote, options);
  try {
    await store.note(file, { etag, size });
    const settings = { name, origin: async () => remote, ...calls(name, size, options) };
    return await keep(await store.open(file, { etag, size }, settings), etag);
  } catch (error) {
    return withoutPlace(error, remote, store, options);
  }
}

/**
 * What was fetched before of a file is read without asking the server; `ask` opens it there for the rest. Where that is
 * another by now its note is dropped, so that the next load begins anew.
 */
export async function keepKnown(
  name: string,
  note: FileNote,
  store: PartialStore,
  file: string,
  ask: (signal?: AbortSignal) => Promise<RemoteFile | undefined>,
  options: KeptFilesOptions,
): Promise<KeptFile> {
  let remote: RemoteFile | undefined;
  const origin = async (signal?: AbortSignal) => {
    remote ??= await ask(signal);
    if (remote && isNoted(remote, note)) return remote;
    remote = undefined;
    await store.forget(file, note).catch(() => {});
    const wanted = `the rest of a file of ${note.size} bytes`;
    throw mismatch("network", name, wanted, "another by now", "load the model again");
  };
  try {
    return await keep(await store.open(file, note, { name, origin, ...calls(name, note.size, options) }), note.etag);
  } catch (error) {
    // Nothing of the former content has been read, so that another one serves.
    return withoutPlace(error, (await ask(options.signal)) ?? (await origin(options.signal)), store, options);
  }
}

/** Whether a server still says of a file what was noted. */
export function isNoted({ etag, size }: RemoteFile, note: FileNote): boolean {
  return etag === note.etag && size === note.size;
}

async function keep(blocks: BlockFile, etag: string): Promise<KeptFile> {
  const source = await remoteSource(blocks);
  const close = async () => {
    await source.close();
    await blocks.close();
  };
  return { source, blocks, path: blocks.path, etag, close };
}

function withoutPlace(
  error: unknown,
  remote: RemoteFile,
  store: PartialStore,
  options: KeptFilesOptions,
): Promise<KeptFile> {
  if (!(error instanceof SiglipError)) throw error;
  if (!store.refusal) options.onWarning?.(`The model is fetched again whenever it is loaded, since ${error.message}`);
  store.refusal = error;
  return passOn(remote, options);
}

async function passOn(remote: RemoteFile, options: KeptFilesOptions): Promise<KeptFile> {
  const source = await remoteSource(remote, { spool: temporarySpool, ...options });
  return { source, close: () => source.close() };
}

function calls(name: string, size: number, { onWarning, onDownload }: KeptFilesOptions) {
  return { onWarning, onSpool: onDownload && ((present: number) => onDownload(name, present, size)) };
}

/**
 * A file that a server gives no strong validator for, under what it tells it by instead. That is enough for a whole
 * file, and for parts where something else says that the content stays the same.
 */
export function weaklyNamed(remote: RemoteFile): RemoteFile {
  if (remote.etag !== undefined) return remote;
  const { url, name, size, ranges, commit, mark } = remote;
  const etag = `weak-${createHash("sha256")
    .update(mark ?? "")
    .digest("hex")}`;
  const stream: RemoteFile["stream"] = (...range) => remote.stream(...range);
  return { url, name, size, ranges, commit, mark, etag, stream };
}
