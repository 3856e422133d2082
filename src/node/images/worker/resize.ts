import { checkPixels, checkSize, type Pixels } from "../../../image/pixels.ts";
import { type Filter, type FilterTaps, FRACTION_BITS, resize, weights } from "../../../image/resize.ts";
import { across, down, finish, GROUP, GROUP_BYTES, LOW_BITS, SLACK } from "./resize-kernels.ts";

type Run = (...args: number[]) => void;

/** The kernels on one memory. */
interface Kernels {
  readonly memory: WebAssembly.Memory;
  readonly across: Run;
  readonly down: Run;
  readonly finish: Run;
}

let kernels: Kernels | undefined;

function instantiate(): Kernels {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
  const make = (module: { assemble(options: { shared: boolean }): Uint8Array<ArrayBuffer> }) => {
    const program = new WebAssembly.Module(module.assemble({ shared: false }));
    return new WebAssembly.Instance(program, { env: { memory } }).exports.run as Run;
  };
  return { memory, across: make(across()), down: make(down()), finish: make(finish()) };
}

/** Memory is kept for the next picture up to this size. */
const KEPT = 64 << 20;

/** `resize` to the bit, in WebAssembly's SIMD instructions; what skips a pass is left to it. */
export function resizeBySimd(
  pixels: Pixels,
  [height, width]: readonly [height: number, width: number],
  filter: Filter,
): Pixels {
  checkPixels(pixels, "the picture to resize");
  checkSize(width, height, "the size to resize to");
  const tall = pixels.height > 100 * pixels.width;
  if (pixels.width === width || pixels.height === height || tall) return resize(pixels, width, height, filter);
  kernels ??= instantiate();
  const columns = weights(pixels.width, width, filter);
  const rows = weights(pixels.height, height, filter);
  const groups = Math.ceil(columns.taps / GROUP);
  // A row's sums and bytes are whole vectors, so that nothing runs into the next row's.
  const stride = Math.ceil((3 * width) / 16) * 16;
  let top = 0;
  const place = (bytes: number) => {
    const at = top;
    top += Math.ceil((bytes + SLACK) / 16) * 16;
    return at;
  };
  const starts = place(4 * width);
  const packed = place(GROUP_BYTES * groups * width);
  const factors = place(4 * rows.values.length);
  const source = place(3 * pixels.width + 3 * GROUP * groups);
  const scaled = place(stride);
  const sums = place(4 * stride * height);
  const missing = top - kernels.memory.buffer.byteLength;
  if (missing > 0) kernels.memory.grow(Math.ceil(missing / 65536));
  const { memory } = kernels;
  const bytes = new Uint8Array(memory.buffer);
  new Int32Array(memory.buffer, starts, width).set(columns.start.map((start) => 3 * start));
  new Int16Array(memory.buffer, packed, (GROUP_BYTES / 2) * groups * width).set(pack(columns, groups));
  new Int32Array(memory.buffer, factors, rows.values.length).set(rows.values);
  new Int32Array(memory.buffer, sums, stride * height).fill(1 << (FRACTION_BITS - 1));
  let first = 0;
  for (let y = 0; y < pixels.height; y++) {
    while (first < height && rows.end[first] <= y) first++;
    if (first === height) break;
    if (rows.start[first] > y) continue;
    bytes.set(pixels.data.subarray(3 * y * pixels.width, 3 * (y + 1) * pixels.width), source);
    kernels.across(source, scaled, starts, packed, groups, width);
    for (let t = first; t < height && rows.start[t] <= y; t++) {
      const factor = factors + 4 * (t * rows.taps + y - rows.start[t]);
      kernels.down(scaled, scaled + stride, factor, sums + 4 * stride * t);
    }
  }
  // Bytes take a quarter of the sums' room, and never overtake them.
  kernels.finish(sums, sums + 4 * stride * height, sums);
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    const from = sums + stride * y;
    data.set(bytes.subarray(from, from + 3 * width), 3 * width * y);
  }
  if (memory.buffer.byteLength > KEPT) kernels = undefined;
  return { width, height, data };
}

/** Weights by fours, as `across` reads them; what is missing is 0. */
function pack({ taps, start, end, values }: FilterTaps, groups: number): Int16Array {
  const packed = new Int16Array((GROUP_BYTES / 2) * groups * start.length);
  for (let t = 0; t < start.length; t++) {
    for (let i = 0; i < end[t] - start[t]; i++) {
      const weight = values[t * taps + i];
      const at = (t * groups + (i >> 2)) * (GROUP_BYTES / 2) + (i & 3);
      packed[at] = weight & ((1 << LOW_BITS) - 1);
      packed[at + GROUP] = weight >> LOW_BITS;
    }
  }
  return packed;
}
