import { type ByteRange, bytesSource, checkRange, type Source } from "../checkpoint/source.ts";
import { mismatch } from "../support/error.ts";
import { collect } from "../support/numbers.ts";
import { type RemoteFile, WHOLE } from "./http.ts";

/** A source that holds connections, memory or a temporary file until it is closed. */
export interface ClosableSource extends Source {
  close(): Promise<void>;
}

/**
 * Brings a whole file to where it can be read by range, without holding it in memory: `file.stream(0, file.size)` is
 * to be written away as it comes. Undefined where there is no room.
 */
export type Spool = (file: RemoteFile, signal?: AbortSignal) => Promise<ClosableSource | undefined>;

/** How a file on a server becomes a Source. */
export interface RemoteSourceOptions {
  readonly spool?: Spool;
  /** Told of bytes that arrived of a file which has to be fetched whole before any of it can be read. */
  readonly onDownload?: (file: string, loaded: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * A file on a server as a Source. Where the server ignores Range requests it is fetched once: into memory up to 16
 * MiB, else to where `spool` puts it. Rejects with a SiglipError where there is no such place.
 */
export async function remoteSource(file: RemoteFile, options: RemoteSourceOptions = {}): Promise<ClosableSource> {
  if (file.ranges) return new RangeSource(file);
  const { spool, onDownload, signal } = options;
  if (file.size <= WHOLE) {
    const bytes = await collect(file.stream(0, file.size, signal), file.size);
    return { ...bytesSource(bytes, file.name), async close() {} };
  }
  const reported: RemoteFile = {
    ...file,
    async *stream(offset, length, signal) {
      let loaded = offset;
      for await (const bytes of file.stream(offset, length, signal)) {
        yield bytes;
        loaded += bytes.length;
        onDownload?.(file.name, loaded, file.size);
      }
    },
  };
  const spooled = await spool?.(reported, signal);
  if (spooled) return spooled;
  throw mismatch(
    "unsupported",
    file.name,
    `a part of a file of ${file.size} bytes`,
    "a server that ignores Range requests",
    "host it on one that answers them, or make room for the whole file",
  );
}

/** Bytes between two planned ranges, and before the first read, that are fetched along rather than asked for apart. */
const GAP = 2 ** 16;

/**
 * Most bytes kept that were passed over on the way to others: more than lies between what is loaded together of any
 * published layout.
 */
const WINDOW = 2 ** 26;

/** Bytes that came before anybody asked for them. */
interface Passed {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** How many nobody has taken yet. */
  left: number;
}

/**
 * Reads within a planned range all come from one answer, which runs from the first read to the range's end: tensors
 * lie in a file nearly in the order in which they are loaded, and what is passed over is kept, at most WINDOW bytes of
 * it, until it is asked for. A read far off, and one of what is not kept any more, begins another answer. Reads outside
 * of the plan are requests of their own.
 */
class RangeSource implements ClosableSource {
  readonly name: string;
  readonly size: number;
  private readonly file: RemoteFile;
  private runs: readonly ByteRange[] = [];
  private passed: Passed[] = [];
  private held = 0;
  /** The answer that is being read, the range that it runs to the end of, and the offset of what comes next. */
  private live: { readonly run: ByteRange; readonly pieces: AsyncGenerator<Uint8Array>; at: number } | undefined;
  private turn: Promise<unknown> = Promise.resolve();

  constructor(file: RemoteFile) {
    this.file = file;
    this.name = file.name;
    this.size = file.size;
  }

  plan(ranges: readonly ByteRange[]): void {
    this.runs = merge(ranges);
    if (ranges.length === 0) this.drop();
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange(this, offset, length);
    return collect(this.stream(offset, length, signal), length);
  }

  async *stream(offset: number, length: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    checkRange(this, offset, length);
    const end = offset + length;
    const run = this.runs.find((one) => one.begin <= offset && end <= one.end);
    if (!run) {
      yield* this.file.stream(offset, length, signal);
      return;
    }
    for (let at = offset; at < end; ) {
      // One at a time: whoever reads moves the answer on for all.
      const next = this.turn.then(() => this.next(at, end, run, signal));
      this.turn = next.catch(() => {});
      const bytes = await next;
      at += bytes.length;
      yield bytes;
    }
  }

  async close(): Promise<void> {
    this.plan([]);
  }

  /** Some bytes from `at` on, at most up to `end`. */
  private async next(at: number, end: number, run: ByteRange, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted();
    const known = this.passed.find(({ offset, bytes }) => offset <= at && at < offset + bytes.length);
    if (known) return this.take(known, at, end);
    const ahead = this.live?.run === run ? at - this.live.at : -1;
    if (!(ahead >= 0 && ahead <= WINDOW)) {
      this.hangUp();
      // A tensor's bias, which lies before its weight, is asked for after it.
      const from = Math.max(run.begin, at - GAP);
      this.live = { run, pieces: this.file.stream(from, run.end - from, signal), at: from };
    }
    for (;;) {
      const { offset, bytes } = await this.advance(run.end);
      if (offset + bytes.length <= at) {
        this.keep(offset, bytes);
        continue;
      }
      if (offset < at) this.keep(offset, bytes.subarray(0, at - offset));
      if (offset + bytes.length > end) this.keep(end, bytes.subarray(end - offset));
      return bytes.subarray(at - offset, end - offset);
    }
  }

  private async advance(runEnd: number): Promise<{ offset: number; bytes: Uint8Array }> {
    const { live } = this;
    try {
      const { value, done } = await live!.pieces.next();
      if (done) throw mismatch("network", this.name, `bytes from ${live!.at} on`, "none", "load it again");
      const offset = live!.at;
      live!.at += value.length;
      // The last step ends the request properly.
      if (live!.at >= runEnd) {
        await live!.pieces.next();
        if (this.live === live) this.live = undefined;
      }
      return { offset, bytes: value };
    } catch (error) {
      if (this.live === live) this.live = undefined;
      throw error;
    }
  }

  private take(known: Passed, at: number, end: number): Uint8Array {
    const { offset, bytes } = known;
    const taken = bytes.subarray(at - offset, end - offset);
    known.left -= taken.length;
    if (known.left <= 0) this.forget(known);
    return taken;
  }

  private keep(offset: number, bytes: Uint8Array): void {
    this.passed.push({ offset, bytes, left: bytes.length });
    this.held += bytes.length;
    while (this.held > WINDOW) this.forget(this.passed[0]);
  }

  private forget(known: Passed): void {
    this.passed.splice(this.passed.indexOf(known), 1);
    this.held -= known.bytes.length;
  }

  private drop(): void {
    this.hangUp();
    this.passed = [];
    this.held = 0;
  }

  private hangUp(): void {
    this.live?.pieces.return(undefined).catch(() => {});
    this.live = undefined;
  }
}

/** Ranges in order, those that touch or nearly do as one. */
function merge(ranges: readonly ByteRange[]): ByteRange[] {
  const merged: { begin: number; end: number }[] = [];
  for (const { begin, end } of [...ranges].sort((a, b) => a.begin - b.begin)) {
    const last = merged.at(-1);
    if (last && begin <= last.end + GAP) last.end = Math.max(last.end, end);
    else merged.push({ begin, end });
  }
  return merged;
}
