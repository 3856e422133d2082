import type { Grid } from "../image/naflex.ts";
import type { VisionConfig } from "./config.ts";

/**
 * Inputs of an image tower beside the patches: `positions`, and of NaFlex, for pictures of so many grids padded to
 * `most` patches each, `lengths`.
 */
export type PositionInputs = (
  grids: readonly Grid[] | undefined,
  most: number,
) => Readonly<Record<string, Float32Array>>;

/** What a tower whose grid is not that of its learned positions `table` [side * side, hidden] has for inputs. */
export function positionInputs(table: Float32Array, { grid, hidden }: VisionConfig): PositionInputs {
  if (!grid) {
    const flexible = new FlexiblePositions(table, hidden);
    return (grids, most) => flexible.inputs(grids!, most);
  }
  const positions = resizePositions(table, hidden, grid, "bicubic");
  return () => ({ positions });
}

/**
 * How learned positions are brought to another grid: `bilinear` with antialias, as NaFlex is trained, or `bicubic` (a =
 * -0.75) without and with the border repeated, as Hugging Face's `interpolate_pos_encoding` does.
 * [torch.nn.functional.interpolate, align_corners false]
 */
export type Interpolation = "bilinear" | "bicubic";

/** Positions [side * side, width] on a grid: [rows * columns, width], summed in float64. */
export function resizePositions(
  table: Float32Array,
  width: number,
  [rows, columns]: Grid,
  interpolation: Interpolation,
): Float32Array {
  const side = Math.sqrt(table.length / width);
  const across = weights(side, columns, interpolation);
  const down = weights(side, rows, interpolation);
  const between = new Float64Array(side * columns * width);
  for (let i = 0; i < side * columns; i++) {
    for (const [j, weight] of across[i % columns].entries()) {
      const from = (Math.floor(i / columns) * side + j) * width;
      if (weight !== 0) for (let d = 0; d < width; d++) between[i * width + d] += weight * table[from + d];
    }
  }
  const sums = new Float64Array(columns * width);
  const out = new Float32Array(rows * columns * width);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    for (const [i, weight] of down[row].entries()) {
      if (weight !== 0) for (let d = 0; d < sums.length; d++) sums[d] += weight * between[i * sums.length + d];
    }
    out.set(sums, row * sums.length);
  }
  return out;
}

/** For each of `to` positions, what each of `from` weighs. */
function weights(from: number, to: number, interpolation: Interpolation): Float64Array[] {
  const scale = from / to;
  return Array.from({ length: to }, (_, index) => {
    const center = (index + 0.5) * scale;
    return interpolation === "bilinear" ? triangle(center, Math.max(scale, 1), from) : cubic(center - 0.5, from);
  });
}

function triangle(center: number, stretch: number, from: number): Float64Array {
  const row = Float64Array.from({ length: from }, (_, j) => Math.max(0, 1 - Math.abs((j + 0.5 - center) / stretch)));
  const total = row.reduce((sum, weight) => sum + weight, 0);
  return row.map((weight) => weight / total);
}

/** Keys' cubic convolution; what lies outside is the border's. */
function cubic(at: number, from: number): Float64Array {
  const a = -0.75;
  const row = new Float64Array(from);
  const first = Math.floor(at) - 1;
  for (let tap = first; tap < first + 4; tap++) {
    const x = Math.abs(at - tap);
    const weight = x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    row[Math.max(0, Math.min(from - 1, tap))] += weight;
  }
  return row;
}

/** Grids whose positions are kept: those of one camera are few. */
const KEPT = 8;

/** Inputs of a NaFlex tower beside the patches, for pictures of several grids padded to `most` patches. */
class FlexiblePositions {
  private readonly table: Float32Array;
  private readonly width: number;
  private readonly kept = new Map<string, Float32Array>();

  /** `table` [side * side, width] as it is learned. */
  constructor(table: Float32Array, width: number) {
    this.table = table;
    this.width = width;
  }

  /** `positions` [n, most, width], behind a picture's own its first, and `lengths` [n]. */
  inputs(grids: readonly Grid[], most: number): Record<"positions" | "lengths", Float32Array> {
    const { width } = this;
    const positions = new Float32Array(grids.length * most * width);
    for (const [index, grid] of grids.entries()) {
      const own = this.of(grid);
      positions.set(own, index * most * width);
      for (let at = index * most * width + own.length; at < (index + 1) * most * width; at += width) {
        positions.set(own.subarray(0, width), at);
      }
    }
    return { positions, lengths: Float32Array.from(grids, ([rows, columns]) => rows * columns) };
  }

  private of(grid: Grid): Float32Array {
    const key = grid.join();
    const known = this.kept.get(key);
    if (known) return known;
    const made = resizePositions(this.table, this.width, grid, "bilinear");
    if (this.kept.size === KEPT) this.kept.delete(this.kept.keys().next().value!);
    this.kept.set(key, made);
    return made;
  }
}
