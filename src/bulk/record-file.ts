import { constants } from "node:fs";
import { Descriptor, NO_FOLLOW } from "../node/descriptor.ts";
import { attempt } from "../node/file.ts";
import { decodeRecord, type Record, recordLength } from "./record.ts";

/** Bytes that are read at once where no record is longer. */
const WINDOW = 2 ** 18;

/** A file of records one after another, of which some may be damaged and the last one cut short. */
export class RecordFile {
  readonly path: string;
  private readonly file: Descriptor;
  /** What was read last, and where it begins. */
  private window: Uint8Array = new Uint8Array();
  private begin = 0;
  private end = 0;
  private last: Promise<unknown> = Promise.resolve();

  constructor(path: string, file: Descriptor) {
    this.path = path;
    this.file = file;
  }

  /** Opens a file that is there; undefined where it is not, or not any more. */
  static async open(path: string): Promise<RecordFile | undefined> {
    return attempt(path, "read", async () => {
      try {
        return new RecordFile(path, await Descriptor.open(path, constants.O_RDONLY | NO_FOLLOW));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    });
  }

  /** Appends whole records after those that this object has appended; gives their offsets. */
  append(records: readonly Uint8Array[]): Promise<number[]> {
    // What failed before leaves its place to what comes now.
    const written = this.last.catch(() => {}).then(() => this.write(records));
    this.last = written;
    return written;
  }

  private async write(records: readonly Uint8Array[]): Promise<number[]> {
    await this.file.write(Buffer.concat(records), this.end);
    return records.map(({ length }) => {
      this.end += length;
      return this.end - length;
    });
  }

  /** All records that are whole, with their offsets; what is damaged is left out. */
  async *records(signal?: AbortSignal): AsyncGenerator<Record & { readonly offset: number }> {
    const { size } = await attempt(this.path, "read", () => this.file.stat());
    for (let offset = 0; ; ) {
      signal?.throwIfAborted();
      const bytes = await this.bytes(offset, size);
      if (!bytes) break;
      const record = decodeRecord(bytes);
      if (record) yield { offset, ...record };
      offset += bytes.length;
    }
    this.window = new Uint8Array();
  }

  /** The record at an offset; undefined where none is there. */
  async read(offset: number): Promise<Record | undefined> {
    const bytes = await this.bytes(offset, Number.POSITIVE_INFINITY);
    return bytes && decodeRecord(bytes);
  }

  /** The same, where all of it was read with another. */
  ready(offset: number): Record | undefined {
    const bytes = this.inWindow(offset);
    const length = recordLength(bytes);
    return length > 0 && length <= bytes.length ? decodeRecord(bytes.subarray(0, length)) : undefined;
  }

  sync(): Promise<void> {
    return this.file.sync();
  }

  close(): Promise<void> {
    return this.file.close();
  }

  /** As many bytes as the record at an offset says it has; undefined where the file, of `size` bytes, ends before. */
  private async bytes(offset: number, size: number): Promise<Uint8Array | undefined> {
    let length = recordLength(this.inWindow(offset));
    if (length === 0 || this.inWindow(offset).length < length) {
      await this.fill(offset, WINDOW);
      length = recordLength(this.window);
      if (length === 0) return undefined;
      if (length > WINDOW) {
        // A damaged length must not take memory that no record has.
        const most = size === Number.POSITIVE_INFINITY ? (await this.file.stat()).size : size;
        if (offset + length > most) return undefined;
        await this.fill(offset, length);
      }
    }
    const found = this.inWindow(offset).subarray(0, length);
    return found.length < length ? undefined : found;
  }

  private inWindow(offset: number): Uint8Array {
    const at = offset - this.begin;
    return at >= 0 && at < this.window.length ? this.window.subarray(at) : new Uint8Array();
  }

  /** Reads into memory of its own: what was given before stays as it is. */
  private async fill(offset: number, length: number): Promise<void> {
    const room = new Uint8Array(length);
    const count = await attempt(this.path, "read", () => this.file.read(room, offset));
    this.window = room.subarray(0, count);
    this.begin = offset;
  }
}
