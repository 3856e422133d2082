import { Worker } from "node:worker_threads";
import type { Pixels } from "../../image/pixels.ts";
import { type ErrorCode, SiglipError } from "../../support/error.ts";
import { script } from "./jpeg-worker.generated.ts";

/** A JPEG for the thread to decode. */
export interface Request {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly name: string;
  readonly maxPixels: number;
}

/** What became of it. */
export type Answer =
  | { readonly id: number; readonly pixels: Pixels }
  | { readonly id: number; readonly error: { readonly message: string; readonly code: ErrorCode | undefined } };

interface Waiting {
  resolve(pixels: Pixels): void;
  reject(error: unknown): void;
}

/** The thread in which JPEGs are decoded, started with the first and again after it has failed. */
class Decoder {
  readonly waiting = new Map<number, Waiting>();
  private readonly worker: Worker;
  private next = 0;

  constructor(onEnd: () => void) {
    // From text, because bundles, single executables and TypeScript sources have no file that a thread could be started from;
    // without the loaders and inspectors of the process.
    this.worker = new Worker(script, { eval: true, execArgv: [], name: "siglip-jpeg" });
    const end = (cause: Error) => {
      onEnd();
      for (const { reject } of this.waiting.values()) reject(cause);
      this.waiting.clear();
    };
    this.worker.on("error", end);
    this.worker.on("exit", (code) => end(new Error(`the decoder's thread ended with code ${code}`)));
    this.worker.on("message", (answer: Answer) => {
      const waiting = this.waiting.get(answer.id);
      this.forget(answer.id);
      if ("pixels" in answer) waiting?.resolve(answer.pixels);
      else {
        const { message, code } = answer.error;
        waiting?.reject(code ? new SiglipError(message, { code }) : new Error(message));
      }
    });
    this.worker.unref();
  }

  async decode(bytes: Uint8Array, name: string, maxPixels: number, signal?: AbortSignal): Promise<Pixels> {
    signal?.throwIfAborted();
    const id = this.next++;
    const abort = () => {
      this.waiting.get(id)?.reject(signal!.reason);
      this.forget(id);
    };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await new Promise<Pixels>((resolve, reject) => {
        this.waiting.set(id, { resolve, reject });
        // Only while somebody waits may the thread keep the process alive.
        this.worker.ref();
        // A copy that is given away: the bytes may lie in memory that is shared, or that others use.
        const copy = new Uint8Array(bytes);
        this.worker.postMessage({ id, bytes: copy, name, maxPixels } satisfies Request, [copy.buffer]);
      });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  private forget(id: number): void {
    this.waiting.delete(id);
    if (this.waiting.size === 0) this.worker.unref();
  }
}

let decoder: Decoder | undefined;

/**
 * Decodes a JPEG as `decodeJpeg` in worker/jpeg.ts does, in a thread of its own, so that a large picture holds up nobody. Rejects with
 * its SiglipErrors, with the signal's reason, and with an Error where the thread cannot be started or ends.
 */
export async function decodeJpeg(
  bytes: Uint8Array,
  name: string,
  maxPixels: number,
  signal?: AbortSignal,
): Promise<Pixels> {
  if (!decoder) {
    const mine = new Decoder(() => {
      if (decoder === mine) decoder = undefined;
    });
    decoder = mine;
  }
  return decoder.decode(bytes, name, maxPixels, signal);
}
