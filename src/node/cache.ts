import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRemote, type RemoteFile, type RemoteOptions, WHOLE } from "../checkpoint/http.ts";
import type { ModelFiles, Source } from "../checkpoint/source.ts";
import { remoteSource } from "../checkpoint/url.ts";
import { SiglipError } from "../error.ts";
import { BlockFile } from "./cache-blocks.ts";
import { type Known, PartialStore } from "./cache-store.ts";
import { attempt } from "./file.ts";

/** How kept files are fetched. */
export interface KeepOptions extends RemoteOptions {
  readonly onWarning?: (message: string) => void;
  /** Told of files that come whole: a server without ranges, `complete`. */
  readonly onDownload?: (file: string, loaded: number, total: number) => void;
}

/** A model's files, which are kept on this machine as far as they are fetched. */
export interface KeptFiles extends ModelFiles {
  /** Fetches what is missing of all files that were opened and verifies them; says where they lie. */
  complete(signal?: AbortSignal): Promise<CompleteFile[]>;
}

/** A file that is there as a whole. */
export interface CompleteFile {
  readonly name: string;
  readonly size: number;
  readonly path: string;
}

/** A file that is fetched as it is read, or is there. */
export interface Kept {
  readonly source: Source;
  /** The partial file; undefined where it is whole, or cannot be kept. */
  readonly blocks?: BlockFile;
  /** Where it is kept; undefined where it cannot be. */
  readonly path?: string;
  readonly etag?: string;
  close(): Promise<void>;
}

/** Keeps what is read of a file on a server; without a validator or a place to write it is fetched whenever it is read. */
export async function keepRemote(
  remote: RemoteFile,
  store: PartialStore,
  file: string,
  options: KeepOptions,
): Promise<Kept> {
  const { etag, size, name } = remote;
  if (etag === undefined) return passOn(remote, file, options);
  try {
    await store.note(file, { etag, size });
    return keep(
      await store.open({ etag, size }, { name, origin: async () => remote, ...calls(file, size, options) }),
      etag,
    );
  } catch (error) {
    return withoutPlace(error, remote, file, options);
  }
}

/** What was fetched before of a file is read without asking the server, and the rest fetched if it still is what it was. */
export async function keepKnown(
  url: URL,
  { etag, size }: Known,
  store: PartialStore,
  file: string,
  options: KeepOptions,
): Promise<Kept> {
  let remote: RemoteFile | undefined;
  const origin = async (signal?: AbortSignal) => {
    remote ??= await openRemote(url, { ...options, signal });
    if (remote?.etag === etag && remote.size === size) return remote;
    remote = undefined;
    throw new SiglipError(
      `${url.href}: wanted the rest of a file of ${size} bytes, found another by now; load the model again.`,
    );
  };
  try {
    return keep(await store.open({ etag, size }, { name: url.href, origin, ...calls(file, size, options) }), etag);
  } catch (error) {
    return withoutPlace(error, await origin(options.signal), file, options);
  }
}

function keep(blocks: BlockFile, etag: string): Kept {
  return { source: blocks, blocks, path: blocks.path, etag, close: () => blocks.close() };
}

function withoutPlace(error: unknown, remote: RemoteFile, file: string, options: KeepOptions): Promise<Kept> {
  if (!(error instanceof SiglipError)) throw error;
  options.onWarning?.(`${remote.name} is not kept: ${error.message}`);
  return passOn(remote, file, options);
}

/** Reads from the server; what one without ranges sends goes to a temporary file, which is removed on close. */
async function passOn(remote: RemoteFile, file: string, options: KeepOptions): Promise<Kept> {
  const { name, size } = remote;
  if (remote.ranges || size <= WHOLE) return { source: await remoteSource(remote, options.signal), async close() {} };
  const folder = await attempt(tmpdir(), "write", () => mkdtemp(join(tmpdir(), "siglip-")));
  const settings = { name, size, origin: async () => remote, ...calls(file, size, options) };
  const blocks = await BlockFile.open(join(folder, "whole"), settings);
  return {
    source: blocks,
    async close() {
      await blocks.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function calls(file: string, size: number, { onWarning, onDownload }: KeepOptions) {
  return { onWarning, onSpool: onDownload && ((present: number) => onDownload(file, present, size)) };
}

/** The store of what lies under a URL. */
export function storeOf(url: URL): PartialStore {
  return new PartialStore("urls", createHash("sha256").update(url.href).digest("hex").slice(0, 32));
}
