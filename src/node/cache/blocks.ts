import { webcrypto } from "node:crypto";
import { constants } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { checkRange } from "../../checkpoint/source.ts";
import type { RemoteFile } from "../../network/http.ts";
import { mismatch, SiglipError } from "../../support/error.ts";
import { Descriptor, NO_FOLLOW } from "../descriptor.ts";
import { attempt } from "../file.ts";
import { Journal } from "./journal.ts";

/**
 * Bytes of a block, the least that is fetched: 14 rows of so400m's token table, of which a text needs a few anywhere,
 * and small enough beside a round trip. A file of 3.5 GB has 54,000 of them and a journal of 2.6 MB.
 */
export const BLOCK = 2 ** 16;

/**
 * Most bytes that are read, or gathered before they are written, at once: what a killed process has fetched in vain.
 */
const PORTION = 2 ** 20;

/** Where what is missing comes from. Without ranges the first part that is missing brings the whole file to disk. */
export type Origin = Pick<RemoteFile, "ranges" | "stream">;

/** What a partial file is made of. */
export interface BlockFileOptions {
  /** Its URL, and shown in errors. */
  readonly name: string;
  readonly size: number;
  /** Called when something is missing, and never before. */
  readonly origin: (signal?: AbortSignal) => Promise<Origin>;
  readonly onWarning?: (message: string) => void;
  /** Told how many bytes are there while a whole file comes from an origin without ranges. */
  readonly onSpool?: (present: number) => void;
}

/**
 * A file of which the blocks that were once asked for lie on disk, in a sparse file with a journal beside it. What is
 * missing is fetched when it is read, neighbouring blocks by one request, and written on the way; what is there is
 * checked by its digest. Whoever is killed at any moment, and however many processes do this with one file: every write
 * is of the bytes that belong there, and nothing is believed that its digest does not prove. A read holds at most 2 MiB
 * beside what it gives.
 */
export class BlockFile implements RemoteFile {
  readonly url: string;
  readonly name: string;
  readonly size: number;
  readonly ranges = true;
  /** The sparse file. Its journal has `.journal` after that. */
  readonly path: string;
  private readonly options: BlockFileOptions;
  private data: Descriptor;
  private journal: Journal;
  private readonly damaged = new Set<number>();
  /** Blocks that somebody is fetching together with few others. */
  private readonly coming = new Map<number, Promise<void>>();
  private whole: Promise<void> | undefined;
  /** Why nothing more is kept: what is missing is passed on as it comes from then on. */
  refusal: SiglipError | undefined;

  private constructor(path: string, options: BlockFileOptions, data: Descriptor, journal: Journal) {
    this.path = path;
    this.name = this.url = options.name;
    this.size = options.size;
    this.options = options;
    this.data = data;
    this.journal = journal;
  }

  /** Opens or begins a partial file in a folder that is there; rejects with the file system's own error. */
  static async open(path: string, options: BlockFileOptions): Promise<BlockFile> {
    const { data, journal } = await openBoth(path, options.size);
    return new BlockFile(path, options, data, journal);
  }

  /** Bytes that are there. */
  get present(): number {
    const last = Math.ceil(this.size / BLOCK) - 1;
    const short = this.journal.digest(last) === undefined ? 0 : (last + 1) * BLOCK - this.size;
    return this.journal.count * BLOCK - short;
  }

  /** Whether every block is there. */
  get complete(): boolean {
    return this.present === this.size;
  }

  /** The bytes of a range, in pieces of at most 1 MiB from disk and as they arrive from elsewhere. */
  async *stream(offset: number, length: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    checkRange(this, offset, length);
    const end = offset + length;
    const limit = Math.ceil(end / BLOCK);
    for (let at = offset; at < end; ) {
      signal?.throwIfAborted();
      const first = Math.floor(at / BLOCK);
      let position = first * BLOCK;
      const stored = await this.stored(first, limit);
      for await (const chunk of stored ? [stored] : this.fetch(first, limit, signal)) {
        const part = chunk.subarray(Math.max(0, at - position), Math.max(0, end - position));
        position += chunk.length;
        at += part.length;
        if (part.length > 0) yield part;
      }
    }
  }

  /** Fetches all that is missing. `onBytes` is told how many bytes are there. */
  async fill(signal?: AbortSignal, onBytes?: (present: number) => void): Promise<void> {
    await this.journal.refresh();
    const blocks = Math.ceil(this.size / BLOCK);
    onBytes?.(this.present);
    for (let block = 0; block < blocks; block++) {
      while (this.journal.digest(block) === undefined) {
        let present = this.present;
        for await (const chunk of this.fetch(block, blocks, signal)) {
          present += chunk.length;
          onBytes?.(present);
          if (this.refusal) break;
        }
        if (this.refusal) throw this.refusal;
        onBytes?.(this.present);
      }
    }
  }

  /** Reads all that is there and drops what is damaged; says whether anything was. */
  async check(signal?: AbortSignal): Promise<boolean> {
    const blocks = Math.ceil(this.size / BLOCK);
    const before = this.damaged.size;
    for (let block = 0; block < blocks; ) {
      signal?.throwIfAborted();
      block += Math.max(1, Math.ceil(((await this.stored(block, blocks))?.length ?? 0) / BLOCK));
    }
    return this.damaged.size > before;
  }

  /** Brings everything written to the disk itself. */
  sync(): Promise<void> {
    return this.attempt(() => this.data.sync());
  }

  /** Renames what is there, since it is not what it should be, and begins anew; returns the other name. */
  async restart(): Promise<string> {
    await this.close();
    const aside = `${this.path}.damaged`;
    await this.attempt(async () => {
      await rename(this.path, aside);
      const { data, journal } = await openBoth(this.path, this.size);
      this.data = data;
      this.journal = journal;
    });
    this.damaged.clear();
    return aside;
  }

  async close(): Promise<void> {
    await Promise.all([this.data.close(), this.journal.close()]);
  }

  /**
   * Intact bytes from the beginning of a block that is there: of it and of its neighbours, as far as `limit` and 1 MiB.
   */
  private async stored(first: number, limit: number): Promise<Uint8Array | undefined> {
    let last = first;
    while (last < Math.min(limit, first + PORTION / BLOCK) && this.journal.digest(last) !== undefined) last++;
    if (last === first) return undefined;
    const from = first * BLOCK;
    const wanted = Array.from({ length: last - first }, (_, index) => this.journal.digest(first + index));
    const length = Math.min(last * BLOCK, this.size) - from;
    const room = new Uint8Array(length);
    const bytes = room.subarray(0, await attempt(this.path, "read", () => this.data.read(room, from)));
    const found = await digestBlocks(bytes);
    // A file that ends early was written as one of another length.
    if (bytes.length < length) found.length = Math.floor(bytes.length / BLOCK);
    const bad = wanted.findIndex((digest, index) => digest !== found[index]);
    if (bad < 0) return bytes;
    await this.drop(first + bad);
    return bad > 0 ? bytes.subarray(0, bad * BLOCK) : undefined;
  }

  private async drop(block: number): Promise<void> {
    const where = `bytes ${block * BLOCK} to ${Math.min(this.size, (block + 1) * BLOCK)}`;
    if (this.damaged.has(block)) {
      throw mismatch(
        "storage",
        this.name,
        `${where} as they were written to ${this.path}`,
        "them damaged twice",
        "check the disk",
      );
    }
    if (this.damaged.size === 0) {
      this.options.onWarning?.(`${this.name}: found ${where} damaged in ${this.path}; they are fetched again.`);
    }
    this.damaged.add(block);
    await this.attempt(() => this.journal.remove(block));
  }

  /**
   * Fetches the blocks that are missing from `first` on, as far as the next that is there. Many are passed on as they
   * come; few are only written, once for all who want them, and so is a file without ranges: whoever called reads them
   * then.
   */
  private async *fetch(first: number, limit: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    await this.journal.refresh();
    if (this.journal.digest(first) !== undefined) return;
    const origin = await this.options.origin(signal);
    const coming = origin.ranges ? this.coming.get(first) : this.whole;
    if (coming) {
      // A failure is its own caller's; here it is tried again.
      await coming.catch(() => {});
      return;
    }
    if (!origin.ranges) {
      this.whole = this.spool(origin, signal).finally(() => {
        this.whole = undefined;
      });
      await this.whole;
      if (this.refusal) throw this.refusal;
      return;
    }
    let last = first;
    while (last < limit && this.journal.digest(last) === undefined && !this.coming.has(last)) last++;
    if (this.refusal) {
      yield* origin.stream(first * BLOCK, Math.min(last * BLOCK, this.size) - first * BLOCK, signal);
      return;
    }
    if (last - first > PORTION / BLOCK) {
      yield* this.keep(first, last, origin, signal);
      return;
    }
    const few = drain(this.keep(first, last, origin, signal)).finally(() => {
      for (let block = first; block < last; block++) this.coming.delete(block);
    });
    for (let block = first; block < last; block++) this.coming.set(block, few);
    await few;
  }

  private async spool(origin: Origin, signal?: AbortSignal): Promise<void> {
    let present = 0;
    for await (const chunk of this.keep(0, Math.ceil(this.size / BLOCK), origin, signal)) {
      present += chunk.length;
      this.options.onSpool?.(present);
    }
  }

  /** Passes on the bytes of some blocks as they arrive, and writes them. */
  private async *keep(first: number, last: number, origin: Origin, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const from = first * BLOCK;
    const length = Math.min(last * BLOCK, this.size) - from;
    const gathered = new Uint8Array(Math.min(PORTION, length));
    let filled = 0;
    let written = 0;
    let got = 0;
    const flush = async () => {
      const whole = written + filled === length ? filled : filled - (filled % BLOCK);
      await this.store(from + written, gathered.subarray(0, whole));
      gathered.copyWithin(0, whole, filled);
      filled -= whole;
      written += whole;
    };
    try {
      for await (const chunk of origin.stream(from, length, signal)) {
        got += chunk.length;
        if (got > length) break;
        for (let at = 0; at < chunk.length; ) {
          const part = chunk.subarray(at, at + gathered.length - filled);
          gathered.set(part, filled);
          filled += part.length;
          at += part.length;
          if (filled === gathered.length) await flush();
        }
        yield chunk;
      }
    } finally {
      // Whatever ended it, what has arrived stays.
      await flush();
    }
    if (got !== length) {
      throw mismatch("network", this.name, `${length} bytes`, `an answer of ${got}`, "try again");
    }
  }

  private async store(offset: number, bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0 || this.refusal) return;
    const digests = await digestBlocks(bytes);
    try {
      await this.attempt(async () => {
        await this.data.write(bytes, offset);
        await this.journal.add(offset / BLOCK, digests);
      });
    } catch (error) {
      if (!(error instanceof SiglipError)) throw error;
      this.refusal = error;
      this.options.onWarning?.(`What is missing of the model is fetched whenever it is loaded, since ${error.message}`);
    }
  }

  private attempt<R>(operation: () => Promise<R>): Promise<R> {
    return attempt(this.path, "write", operation);
  }
}

async function drain(chunks: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of chunks);
}

async function openBoth(path: string, size: number): Promise<{ data: Descriptor; journal: Journal }> {
  const list = `${path}.journal`;
  const begun = constants.O_RDWR | NO_FOLLOW;
  for (;;) {
    let data = await unless("ENOENT", Descriptor.open(path, begun));
    if (!data) {
      // Left over from a file that was whole and has gone to its place, perhaps by another process just now: what it
      // says is there would not be in a file that begins.
      await rm(list, { force: true });
      data = await unless("EEXIST", Descriptor.open(path, begun | constants.O_CREAT | constants.O_EXCL));
    }
    if (!data) continue; // somebody else has begun it meanwhile
    try {
      return { data, journal: await Journal.open(list, Math.ceil(size / BLOCK)) };
    } catch (error) {
      await data.close();
      throw error;
    }
  }
}

/** What comes, or undefined where the file system refuses it for that reason. */
async function unless<R>(reason: "ENOENT" | "EEXIST", coming: Promise<R>): Promise<R | undefined> {
  try {
    return await coming;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === reason) return undefined;
    throw error;
  }
}

/** The digests of blocks that lie one after another; in the platform's threads, beside whatever the caller does. */
function digestBlocks(bytes: Uint8Array): Promise<string[]> {
  const blocks = Array.from({ length: Math.ceil(bytes.length / BLOCK) }, (_, index) =>
    webcrypto.subtle.digest("SHA-256", bytes.subarray(index * BLOCK, (index + 1) * BLOCK)),
  );
  return Promise.all(blocks.map(async (digest) => Buffer.from(await digest).toString("base64url")));
}
