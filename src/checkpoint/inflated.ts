import { mismatch, SiglipError } from "../support/error.ts";
import { type ByteRange, checkRange, readParts, type Source } from "./source.ts";
import { zipFail } from "./zip.ts";

/** Bytes given to the decompressor at a time: it may hold back what they expand to, at most 1032 times as much. */
const SLICE = 2 ** 16;

/** A stream that is being inflated, and what has come out of it. */
interface Live {
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Offset of what comes next. */
  at: number;
  /** What came beyond what was asked for. */
  rest: Uint8Array;
}

/**
 * A deflated range of a file as the bytes that it holds. They are inflated as they are read, a slice at a time; reads
 * that go forward share one pass, one that goes back begins another. A stream that ends before `size` bytes, goes on
 * beyond them or is at fault is refused with a SiglipError when a read meets that.
 */
export class InflatedSource implements Source {
  readonly name: string;
  readonly size: number;
  private readonly source: Source;
  private readonly range: ByteRange;
  private readonly crc: number;
  private live: Live | undefined;
  private turn: Promise<unknown> = Promise.resolve();

  /** `size` and `crc` (CRC-32) are those of the bytes that it is said to hold. */
  constructor(source: Source, range: ByteRange, { size, crc }: { readonly size: number; readonly crc: number }) {
    this.name = source.name;
    this.size = size;
    this.source = source;
    this.range = range;
    this.crc = crc;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange(this, offset, length);
    // One after the other: whoever reads moves the stream on for all.
    const next = this.turn.then(() => this.next(offset, length, signal));
    this.turn = next.catch(() => {});
    return next;
  }

  /** Ends the pass that is under way; a later read begins anew. */
  rest(): void {
    this.live?.reader.cancel().catch(() => {});
    this.live = undefined;
  }

  private async next(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    if (!this.live || this.live.at > offset) this.begin();
    const live = this.live!;
    const out = new Uint8Array(length);
    try {
      while (live.at < offset + length) {
        const piece = live.rest.length > 0 ? live.rest : await this.pull(live);
        const skipped = Math.min(piece.length, Math.max(0, offset - live.at));
        const taken = Math.min(piece.length - skipped, offset + length - live.at - skipped);
        if (taken > 0) out.set(piece.subarray(skipped, skipped + taken), live.at + skipped - offset);
        live.at += skipped + taken;
        live.rest = piece.subarray(skipped + taken);
        signal?.throwIfAborted();
      }
      if (live.at === this.size) {
        if (live.rest.length > 0 || !(await live.reader.read()).done) this.fail("more bytes");
        this.rest();
      }
      return out;
    } catch (error) {
      this.rest();
      if (error instanceof SiglipError || signal?.aborted) throw error;
      return this.fail(`a stream at fault (${(error as Error).message})`);
    }
  }

  private begin(): void {
    this.rest();
    if (typeof DecompressionStream === "undefined") {
      const advice = "use Node, Deno or a newer Bun, or write the file again without compression";
      throw mismatch("unsupported", this.name, "to inflate it", "a runtime without DecompressionStream", advice);
    }
    const packed = this.gzip();
    const slices = new ReadableStream<BufferSource>({
      async pull(controller) {
        const { value, done } = await packed.next();
        // A copy is never memory shared with a worker, which streams refuse.
        if (done) controller.close();
        else controller.enqueue(value.slice());
      },
      cancel: async () => void (await packed.return(undefined)),
    });
    const reader = slices.pipeThrough(new DecompressionStream("gzip")).getReader();
    this.live = { reader, at: 0, rest: new Uint8Array(0) };
  }

  /** As a gzip file, so that the platform holds the bytes against their checksum. */
  private async *gzip(): AsyncGenerator<Uint8Array> {
    yield Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);
    yield* readParts(this.source, this.range, SLICE);
    const end = new DataView(new ArrayBuffer(8));
    end.setUint32(0, this.crc, true);
    end.setUint32(4, this.size % 2 ** 32, true);
    yield new Uint8Array(end.buffer);
  }

  private async pull({ reader, at }: Live): Promise<Uint8Array> {
    const { value, done } = await reader.read();
    if (done) this.fail(`only ${at}`);
    return value;
  }

  private fail(found: string): never {
    return zipFail(this.source)(
      `its entry at byte ${this.range.begin} holds ${found} where it claims ${this.size} bytes`,
    );
  }
}
