import { floatToHalf, halfToFloat, toFloat32 } from "../../src/support/numbers.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import type { RowChunk, WeightSpec } from "../../src/tensor/packing.ts";
import { quantise } from "../../src/tensor/quantise.ts";
import { GROUP } from "../../src/tensor/shape.ts";
import { random } from "../../test/judge/reference.ts";

type Bits = "q8" | "q4";

/** The CPU backend with weights rounded in groups of another size. */
export class Grouped extends CpuBackend {
  private readonly group: number;

  constructor(group: number) {
    super();
    this.group = group;
  }

  override async weight(spec: WeightSpec, rows: AsyncIterable<RowChunk>): Promise<void> {
    const { dtype, shape } = spec;
    if (dtype !== "q8" && dtype !== "q4") return super.weight(spec, rows);
    return super.weight({ ...spec, dtype: "f32" }, this.rounded(rows, shape[1], dtype));
  }

  private async *rounded(rows: AsyncIterable<RowChunk>, depth: number, dtype: Bits): AsyncGenerator<RowChunk> {
    for await (const { bytes, dtype: from, rows: count, scales } of rows) {
      if (scales) throw new Error("wanted floats, found packed rows");
      const values = toFloat32(bytes, from).slice();
      for (let row = 0; row < values.length; row += depth) {
        for (let k = 0; k < depth; k += this.group) {
          round(values.subarray(row + k, row + Math.min(depth, k + this.group)), dtype);
        }
      }
      yield { dtype: "F32", rows: count, bytes: new Uint8Array(values.buffer) };
    }
  }
}

/** src/tensor/quantise.ts for one group of any size, in place; the zeros that fill up a last group change nothing. */
function round(values: Float32Array, dtype: Bits): void {
  const top = values.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
  const scale = dtype === "q8" ? toHalf(Math.abs(top) / 127) : bestScale(values, top);
  const [low, high] = dtype === "q8" ? [-127, 127] : [-8, 7];
  const inverse = 1 / scale;
  for (let i = 0; i < values.length; i++) {
    values[i] = scale === 0 ? 0 : nearest(values[i] * inverse, low, high) * scale;
  }
}

function bestScale(values: Float32Array, top: number): number {
  let [best, least] = [0, Number.POSITIVE_INFINITY];
  for (const share of [0.8, 0.95]) {
    let scale = toHalf((top / -8) * share);
    for (let turn = 0; turn < 2 && scale !== 0; turn++) {
      const inverse = 1 / scale;
      let [error, products, squares] = [0, 0, 0];
      for (const value of values) {
        const code = nearest(value * inverse, -8, 7);
        error += (value - code * scale) ** 2;
        products += code * value;
        squares += code * code;
      }
      if (error < least) [best, least] = [scale, error];
      scale = toHalf(products / squares);
    }
  }
  return best;
}

function nearest(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, Math.floor(value + 0.5)));
}

function toHalf(scale: number): number {
  return halfToFloat(floatToHalf(Math.max(-65504, Math.min(65504, scale))));
}

/** Throws unless groups of the size that the package uses are rounded here as they are there. */
export function checkSame(): void {
  const values = random(1000 * GROUP, 9, 0.02);
  for (const dtype of ["q8", "q4"] as const) {
    const { codes, scales } = quantise(values, dtype);
    const found = values.slice();
    for (let at = 0; at < found.length; at += GROUP) round(found.subarray(at, at + GROUP), dtype);
    const differs = found.findIndex(
      (value, i) => value !== Math.fround(codes[i] * halfToFloat(scales[Math.floor(i / GROUP)])),
    );
    if (differs >= 0) throw new Error(`${dtype}: weight ${differs} is not rounded as src/tensor/quantise.ts rounds it`);
  }
}
