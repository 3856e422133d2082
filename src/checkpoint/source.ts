import { SiglipError } from "../error.ts";

/** Random access to the bytes of one file, wherever it lies. */
export interface Source {
  /** Shown in errors: a path, a URL or a file's name. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`; rejects with a SiglipError where the file does not hold them. */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** A file that is already in memory. Reads are views, not copies. */
export function bytesSource(bytes: Uint8Array, name = "bytes"): Source {
  return {
    name,
    size: bytes.length,
    async read(offset, length) {
      checkRange(this, offset, length);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** Throws unless [offset, offset + length) lies within the file. */
export function checkRange(source: Source, offset: number, length: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= source.size)) {
    throw new SiglipError(
      `${source.name}: wanted bytes ${offset} to ${offset + length} but the file has ${source.size}; it is truncated or not what its header says, fetch it again.`,
    );
  }
}
