import { mismatch } from "../support/error.ts";
import { type DType, elementSize } from "./dtype.ts";
import type { TensorInfo } from "./read-safetensors.ts";
import { type ByteRange, checkRange, Room, readParts, type Source } from "./source.ts";
import { encodeHeader } from "./write-safetensors.ts";

/** Bytes of another file that make a tensor, or some of its rows. */
export interface Part extends ByteRange {
  readonly source: Source;
  /** The file and what is read of it for these bytes, where `source` only gives them: for the plan. */
  readonly stored?: ByteRange & { readonly file: Source };
  /** The bytes are a matrix [rows, columns] that is wanted as [columns, rows]. */
  readonly turned?: Turn;
}

/** How a matrix is turned. */
export interface Turn {
  readonly rows: number;
  readonly columns: number;
  /** Where a row goes: the column that it becomes; its own number by default. */
  readonly order?: (row: number) => number;
}

/** A tensor put together from parts, one after the other. */
export interface ComposedTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly parts: readonly Part[];
}

/** A part at its place in the composed file. */
interface Segment {
  readonly part: Part;
  readonly begin: number;
  readonly end: number;
  readonly element: number;
}

/** Rows that are turned together: their columns are then written in runs. */
const BLOCK = 32;

/** Bytes of a matrix read at a time to turn it. */
const CHUNK = 2 ** 22;

/**
 * A safetensors file that is stored nowhere: its tensors consist of parts of other files, so that whatever reads
 * safetensors reads weights of another layout too. Nothing is held but the header and the matrix that was turned
 * last. Reads that a matrix needs are done once as long as its bytes are asked for together. Throws a SiglipError for
 * a tensor whose parts have not the bytes of its shape.
 */
export function composedSource(name: string, tensors: readonly ComposedTensor[]): Source {
  const header = encodeHeader(tensors);
  const segments: Segment[] = [];
  let end = header.length;
  for (const { name: tensor, dtype, shape, parts } of tensors) {
    const begin = end;
    for (const part of parts) {
      segments.push({ part, begin: end, end: end + part.end - part.begin, element: elementSize(dtype) });
      end += part.end - part.begin;
    }
    const bytes = shape.reduce((product, axis) => product * axis, elementSize(dtype));
    if (end - begin !== bytes) {
      const found = `parts of ${end - begin} bytes`;
      throw mismatch("bad-checkpoint", name, `${bytes} bytes for ${tensor}`, found, "fetch or write the file again");
    }
  }
  return new ComposedFile(name, header, segments, end);
}

/** The tensors of a safetensors file as they would be found in it, so that those of no other use keep their names. */
export function asComposed({ name, dtype, shape, begin, end }: TensorInfo, source: Source): ComposedTensor {
  return { name, dtype, shape, parts: [{ source, begin, end }] };
}

class ComposedFile implements Source {
  readonly name: string;
  readonly size: number;
  /** Only where all that it consists of can be streamed. */
  readonly stream: Source["stream"];
  private readonly header: Uint8Array;
  private readonly segments: readonly Segment[];
  private kept: { readonly segment: Segment; readonly bytes: Promise<Uint8Array> } | undefined;

  constructor(name: string, header: Uint8Array, segments: readonly Segment[], size: number) {
    this.name = name;
    this.size = size;
    this.header = header;
    this.segments = segments;
    if (segments.every(({ part }) => fileOf(part).stream)) this.stream = this.pieces;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    checkRange(this, offset, length);
    const end = offset + length;
    const only = this.segments.find((one) => one.begin <= offset && end <= one.end);
    if (only) return this.readSegment(only, offset, end, signal);
    const bytes = new Uint8Array(length);
    if (offset < this.header.length) bytes.set(this.header.subarray(offset, end));
    for (const segment of this.within(offset, end)) {
      const from = Math.max(offset, segment.begin);
      bytes.set(await this.readSegment(segment, from, Math.min(end, segment.end), signal), from - offset);
    }
    return bytes;
  }

  private async *pieces(offset: number, length: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    checkRange(this, offset, length);
    const end = offset + length;
    if (offset < this.header.length) yield this.header.subarray(offset, end);
    for (const segment of this.within(offset, end)) {
      const { part } = segment;
      const from = Math.max(offset, segment.begin);
      const to = Math.min(end, segment.end);
      const at = part.begin - segment.begin;
      if (part.turned) yield await this.readSegment(segment, from, to, signal);
      else yield* readParts(part.source, { begin: from + at, end: to + at }, CHUNK, signal);
    }
  }

  plan(ranges: readonly ByteRange[]): void {
    if (ranges.length === 0) this.kept = undefined;
    const planned = new Map<Source, ByteRange[]>();
    for (const { part } of this.segments) planned.set(fileOf(part), []);
    for (const { begin, end } of ranges) {
      for (const segment of this.within(begin, end)) {
        const { part } = segment;
        const at = part.begin - segment.begin;
        const plain = { begin: Math.max(begin, segment.begin) + at, end: Math.min(end, segment.end) + at };
        planned.get(fileOf(part))!.push(part.stored ?? (part.turned ? part : plain));
      }
    }
    for (const [source, ranges] of planned) source.plan?.(ranges);
  }

  private within(begin: number, end: number): Segment[] {
    return this.segments.filter((segment) => segment.begin < end && begin < segment.end);
  }

  private async readSegment(segment: Segment, from: number, to: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { part, begin, end } = segment;
    if (!part.turned) return part.source.read(part.begin + from - begin, to - from, signal);
    if (this.kept?.segment !== segment) this.kept = { segment, bytes: turn(segment, part.turned, signal) };
    const { kept } = this;
    let whole = false;
    try {
      const bytes = await kept.bytes;
      whole = to < end;
      return bytes.subarray(from - begin, to - begin);
    } finally {
      // Rows come in order: behind the last nobody needs the matrix any more. Nor does a failure stay.
      if (!whole && this.kept === kept) this.kept = undefined;
    }
  }
}

function fileOf(part: Part): Source {
  return part.stored?.file ?? part.source;
}

/** A matrix's bytes [rows, columns] as [columns, rows]. */
async function turn(segment: Segment, turned: Turn, signal?: AbortSignal): Promise<Uint8Array> {
  const { part, element } = segment;
  const { rows, columns, order = (row: number) => row } = turned;
  const bytes = new Uint8Array(part.end - part.begin);
  if (bytes.length === 0) return bytes;
  const array = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[element as 1 | 2 | 4 | 8];
  const out = new array(bytes.buffer);
  const step = Math.max(BLOCK, Math.floor(CHUNK / (columns * element)));
  let row = 0;
  for await (const stored of readParts(part.source, part, step * columns * element, signal, new Room())) {
    const { buffer, byteOffset, length } = stored.byteOffset % element === 0 ? stored : stored.slice();
    const count = length / (columns * element);
    const values = new array(buffer as ArrayBuffer, byteOffset, count * columns);
    for (let first = 0; first < count; first += BLOCK) {
      const last = Math.min(count, first + BLOCK);
      const places = Array.from({ length: last - first }, (_, i) => order(row + first + i));
      for (let column = 0; column < columns; column++) {
        for (let i = first; i < last; i++) out[column * rows + places[i - first]] = values[i * columns + column];
      }
    }
    row += count;
  }
  return bytes;
}
