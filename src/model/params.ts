import type { Weights } from "../checkpoint/weights.ts";
import { SiglipError } from "../support/error.ts";
import { toFloat32 } from "../support/numbers.ts";
import {
  type Backend,
  type Linear,
  type Norm,
  type RowChunk,
  size,
  type Tensor,
  type WeightDType,
  type WeightSpec,
} from "../tensor/backend.ts";
import type { TowerConfig } from "./config.ts";
import type { Block, Mlp } from "./transformer.ts";

/** A range of rows of a tensor in the checkpoint. */
interface Piece {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** What all `Params` of one load share. */
export interface Loading<T extends Tensor> {
  readonly backend: Backend<T>;
  readonly weights: Weights;
  readonly dtype: WeightDType;
  /** See WeightSpec. */
  readonly smaller?: WeightSpec["smaller"];
  /** Names bound so far: what is left over in the end is reported. */
  readonly used: Set<string>;
  readonly signal?: AbortSignal;
  /** Called with the checkpoint's bytes of every chunk that has been handed to the backend, in whatever precision it came. */
  readonly onBytes?: (bytes: number) => void;
}

/**
 * Tensors of a checkpoint under a name prefix, bound by name and checked by shape while they stream to the backend.
 * Every method rejects with a SiglipError that names the tensor, the shape wanted and the shape found.
 */
export class Params<T extends Tensor> {
  private readonly loading: Loading<T>;
  private readonly prefix: string;

  constructor(loading: Loading<T>, prefix = "") {
    this.loading = loading;
    this.prefix = prefix;
  }

  /** The parameters below `name`. */
  at(name: string): Params<T> {
    return new Params(this.loading, `${this.prefix}${name}.`);
  }

  /** A small float32 tensor: a bias, a norm's weight, positions, the probe. */
  async tensor(name: string, shape: readonly number[]): Promise<T> {
    return this.loading.backend.tensor(await this.values(name, shape), shape);
  }

  /** The values of a small tensor on the host. */
  async values(name: string, shape: readonly number[]): Promise<Float32Array> {
    const full = this.check(name, shape);
    const values = new Float32Array(size(shape));
    let filled = 0;
    for await (const chunk of this.loading.weights.rows(full, { signal: this.loading.signal })) {
      const part = toFloat32(chunk.bytes, chunk.dtype);
      values.set(part, filled);
      filled += part.length;
      this.count(full, chunk.rows);
    }
    return values;
  }

  /**
   * `name.weight` and `name.bias`. A weight of more than two axes, the patch convolution, is flattened to [out, rest] and,
   * being an embedding, never stored in less than half precision.
   */
  async linear(name: string, shape: readonly number[]): Promise<Linear<T>> {
    const { dtype } = this.loading;
    const stored = shape.length > 2 && dtype !== "f32" ? "f16" : dtype;
    return {
      weight: await this.matrix([this.rows(`${name}.weight`, shape)], size(shape.slice(1)), stored),
      bias: await this.tensor(`${name}.bias`, [shape[0]]),
    };
  }

  /** `name.weight` and `name.bias` of a layer norm over `width` features. */
  async norm(name: string, width: number, eps: number): Promise<Norm<T>> {
    return {
      weight: await this.tensor(`${name}.weight`, [width]),
      bias: await this.tensor(`${name}.bias`, [width]),
      eps,
    };
  }

  /** The first third (q) and the rest (k, v) of torch's fused `in_proj_weight` [3 width, width]. */
  async inProjection(width: number): Promise<{ q: Linear<T>; kv: Linear<T> }> {
    const bias = await this.values("in_proj_bias", [3 * width]);
    const part = async (from: number, to: number) => ({
      weight: await this.matrix([this.rows("in_proj_weight", [3 * width, width], from, to)], width),
      bias: this.loading.backend.tensor(bias.slice(from, to), [to - from]),
    });
    return { q: await part(0, width), kv: await part(width, 3 * width) };
  }

  /** `fc1` [inner, width] and `fc2` [width, inner]. */
  async mlp(width: number, inner: number): Promise<Mlp<T>> {
    return { fc1: await this.linear("fc1", [inner, width]), fc2: await this.linear("fc2", [width, inner]) };
  }

  /** The encoder blocks `name.0`, `name.1`, …, q, k and v fused into one projection. */
  async blocks(name: string, config: TowerConfig): Promise<Block<T>[]> {
    const { hidden, mlp, eps } = config;
    const blocks: Block<T>[] = [];
    const begin = (index: number) =>
      this.loading.weights.info(`${this.prefix}${name}.${index}.layer_norm1.weight`).begin;
    const indices = Array.from({ length: config.layers }, (_, index) => index);
    // Layers as they lie in the file (10 comes before 2), and their tensors as published files have them, by name: a file on a
    // server is then read in one go.
    for (const index of indices.sort((a, b) => begin(a) - begin(b))) {
      const p = this.at(`${name}.${index}`);
      const attention = p.at("self_attn");
      const norm1 = await p.norm("layer_norm1", hidden, eps);
      const norm2 = await p.norm("layer_norm2", hidden, eps);
      const inner = await p.at("mlp").mlp(hidden, mlp);
      const out = await attention.linear("out_proj", [hidden, hidden]);
      const qkv = await attention.fused(["q_proj", "k_proj", "v_proj"], hidden);
      blocks[index] = { norm1, qkv, out, norm2, mlp: inner };
    }
    return blocks;
  }

  /** Several square projections of `width` features, stacked into one. */
  private async fused(names: readonly string[], width: number): Promise<Linear<T>> {
    const pieces = names.map((name) => this.rows(`${name}.weight`, [width, width]));
    const bias = new Float32Array(names.length * width);
    for (const [index, name] of names.entries()) bias.set(await this.values(`${name}.bias`, [width]), index * width);
    return {
      weight: await this.matrix(pieces, width),
      bias: this.loading.backend.tensor(bias, [bias.length]),
    };
  }

  private rows(name: string, shape: readonly number[], from = 0, to = shape[0]): Piece {
    return { name: this.check(name, shape), from, to };
  }

  private matrix(pieces: readonly Piece[], depth: number, dtype = this.loading.dtype): Promise<T> {
    const { backend, smaller } = this.loading;
    const out = pieces.reduce((sum, piece) => sum + piece.to - piece.from, 0);
    return backend.weight({ name: pieces[0].name, out, in: depth, dtype, smaller }, this.stream(pieces, dtype));
  }

  private async *stream(pieces: readonly Piece[], as: WeightDType): AsyncGenerator<RowChunk> {
    const { weights, signal } = this.loading;
    for (const { name, from, to } of pieces) {
      for await (const chunk of weights.rows(name, { from, to, as, signal })) {
        yield chunk;
        this.count(name, chunk.rows);
      }
    }
  }

  private count(name: string, rows: number): void {
    const { begin, end, shape } = this.loading.weights.info(name);
    this.loading.onBytes?.(((end - begin) / (shape.length > 1 ? shape[0] : 1)) * rows);
  }

  private check(name: string, shape: readonly number[]): string {
    const full = this.prefix + name;
    const found = this.loading.weights.info(full).shape;
    if (found.join() !== shape.join()) {
      throw new SiglipError(
        `${full}: wanted shape [${shape.join(", ")}] by config.json, found [${found.join(", ")}] in the checkpoint; the two do not belong together.`,
      );
    }
    this.loading.used.add(full);
    return full;
  }
}
