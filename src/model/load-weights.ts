import { Room } from "../checkpoint/source.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { mismatch } from "../support/error.ts";
import { toFloat32 } from "../support/numbers.ts";
import type { Backend } from "../tensor/backend.ts";
import type { RowChunk, WeightSpec } from "../tensor/packing.ts";
import { storedAs, type WeightDType } from "../tensor/program.ts";
import { type Shape, show, size } from "../tensor/shape.ts";
import type { Binding, Piece } from "./params.ts";

/** How weights are loaded. */
export interface LoadWeightsOptions {
  /** See WeightSpec. */
  readonly smaller?: WeightSpec["smaller"];
  readonly signal?: AbortSignal;
  /** Called with the checkpoint's bytes of whatever has been handed to the backend, in whatever precision it came. */
  readonly onBytes?: (bytes: number) => void;
}

/**
 * Streams weights from a checkpoint to a backend, in the order in which they lie in their files: a file on a server is then read
 * in one go. Rejects with a SiglipError that names the tensor whose shape is not the one the configuration asks for.
 */
export async function loadWeights(
  backend: Backend,
  weights: Weights,
  bindings: readonly Binding[],
  options: LoadWeightsOptions,
): Promise<void> {
  for (const { pieces } of bindings) for (const { name, shape } of pieces) checkShape(weights, name, shape);
  // By where the last piece lies: of the fused projections, published files hold other tensors between them.
  const end = ({ pieces }: Binding) => Math.max(...pieces.map(({ name }) => weights.info(name).begin));
  const place = new Map(bindings.map((binding) => [binding, end(binding)]));
  const small = new Map<string, Float32Array>();
  const room = new Room();
  for (const binding of [...bindings].sort((a, b) => place.get(a)! - place.get(b)!)) {
    const { weight, pieces, matrix } = binding;
    if (matrix) {
      const rows = rowsOf(weights, pieces, weight.dtype, room, options);
      await backend.weight({ ...weight, smaller: options.smaller }, rows);
      continue;
    }
    const data = new Float32Array(size(weight.shape));
    let filled = 0;
    for (const { name, shape, from, to } of pieces) {
      if (!small.has(name)) small.set(name, await readValues(weights, name, shape, options));
      const each = size(shape.slice(1));
      data.set(small.get(name)!.subarray(from * each, to * each), filled);
      filled += (to - from) * each;
    }
    backend.constant(weight, data);
  }
}

/** The values of a small tensor on the host. */
export async function readValues(
  weights: Weights,
  name: string,
  shape: Shape,
  { signal, onBytes }: LoadWeightsOptions = {},
): Promise<Float32Array> {
  checkShape(weights, name, shape);
  const values = new Float32Array(size(shape));
  let filled = 0;
  for await (const chunk of weights.rows(name, { signal })) {
    const part = toFloat32(chunk.bytes, chunk.dtype);
    values.set(part, filled);
    filled += part.length;
  }
  const { begin, end } = weights.info(name);
  onBytes?.(end - begin);
  return values;
}

async function* rowsOf(
  weights: Weights,
  pieces: readonly Piece[],
  as: WeightDType,
  room: Room,
  { signal, onBytes }: LoadWeightsOptions,
): AsyncGenerator<RowChunk> {
  for (const { name, shape, from, to } of pieces) {
    const { begin, end } = weights.info(name);
    for await (const chunk of weights.rows(name, { from, to, as: storedAs(as), signal, room })) {
      yield chunk;
      onBytes?.(((end - begin) / shape[0]) * chunk.rows);
    }
  }
}

function checkShape(weights: Weights, name: string, shape: Shape): void {
  const found = weights.info(name).shape;
  // A single value has the shape [1], or none at all.
  if ((found.join() || "1") === shape.join()) return;
  const advice = "the two do not belong together";
  throw mismatch(
    "bad-checkpoint",
    name,
    `shape ${show(shape)} by config.json`,
    `${show(found)} in the checkpoint`,
    advice,
  );
}
