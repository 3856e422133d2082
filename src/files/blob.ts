import { checkRange, type Source } from "../checkpoint/source.ts";
import { mismatch } from "../support/error.ts";

/** A file that someone chose, read by slices. A read rejects with a SiglipError where the file has changed since. */
export function blobSource(blob: Blob, name: string): Source {
  return {
    name,
    size: blob.size,
    async read(offset, length, signal) {
      checkRange(this, offset, length);
      signal?.throwIfAborted();
      return readBlob(blob.slice(offset, offset + length), name);
    },
  };
}

/** All bytes of a Blob; rejects with a SiglipError where the file behind it has changed or may not be read. */
export async function readBlob(blob: Blob, name: string): Promise<Uint8Array> {
  const buffer = await blob.arrayBuffer().catch((cause: Error) => {
    throw mismatch(
      "storage",
      name,
      "to read this file",
      `that it changed or cannot be read (${cause.message})`,
      "choose it again",
      cause,
    );
  });
  return new Uint8Array(buffer);
}
