import { createGunzip } from "node:zlib";
import type { Source } from "../../checkpoint/source.ts";
import { mismatch } from "../../support/error.ts";
import { concatenate } from "../../support/numbers.ts";
import type { Bytes } from "./tar.ts";

/** Bytes of a file that are read together: a small member with the headers around it, and not much of a large one. */
const WINDOW = 2 ** 14;

/** A file's bytes, of which most of those passed over are not read. */
export function sourceBytes(source: Source, signal?: AbortSignal): Bytes {
  let position = 0;
  let window = { begin: 0, bytes: new Uint8Array(0) as Uint8Array };
  return {
    name: source.name,
    size: source.size,
    get position() {
      return position;
    },
    async take(length) {
      const begin = position;
      const count = Math.min(length, source.size - begin);
      position += count;
      if (count > WINDOW) return source.read(begin, count, signal);
      if (begin < window.begin || begin + count > window.begin + window.bytes.length) {
        window = { begin, bytes: await source.read(begin, Math.min(WINDOW, source.size - begin), signal) };
      }
      return window.bytes.subarray(begin - window.begin, begin - window.begin + count);
    },
    async skip(length) {
      const count = Math.min(length, source.size - position);
      position += count;
      return count === length;
    },
  };
}

/** Bytes as they arrive; `close` when no more are wanted. */
export function streamBytes(pieces: AsyncIterable<Uint8Array>, name: string): Bytes & { close(): Promise<void> } {
  const iterator = pieces[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  let position = 0;
  /** Up to so many of the next bytes; none only at the end. */
  const next = async (most: number): Promise<Uint8Array> => {
    while (rest.length === 0) {
      const { value, done } = await iterator.next();
      if (done) return rest;
      rest = value;
    }
    const some = rest.subarray(0, most);
    rest = rest.subarray(some.length);
    position += some.length;
    return some;
  };
  return {
    name,
    get position() {
      return position;
    },
    async take(length) {
      const parts: Uint8Array[] = [];
      for (let left = length; left > 0; ) {
        const some = await next(left);
        if (some.length === 0) break;
        parts.push(some);
        left -= some.length;
      }
      // A copy: what arrives may be memory that is used again.
      return concatenate(parts);
    },
    async skip(length) {
      for (let left = length; left > 0; ) {
        const some = await next(left);
        if (some.length === 0) return false;
        left -= some.length;
      }
      return true;
    },
    async close() {
      await iterator.return?.();
    },
  };
}

/** What gzip has made smaller, as it was. Throws a SiglipError where that is damaged or cut. */
export async function* gunzip(pieces: AsyncIterable<Uint8Array>, name: string): AsyncGenerator<Uint8Array> {
  const unzip = createGunzip();
  let failed: unknown;
  const feed = async () => {
    try {
      for await (const piece of pieces) {
        if (unzip.destroyed) return;
        // Whoever has read enough, or found damage, waits for no more.
        if (!unzip.write(piece))
          await new Promise<void>((resolve) => unzip.once("drain", resolve).once("close", resolve));
      }
      unzip.end();
    } catch (error) {
      failed = error;
      unzip.destroy(error as Error);
    }
  };
  const feeding = feed();
  try {
    yield* unzip;
  } catch (cause) {
    if (failed !== undefined) throw failed;
    throw mismatch("bad-input", name, "a sound gzip file", (cause as Error).message, "fetch or make it again", cause);
  } finally {
    unzip.destroy();
    await feeding;
  }
}
