import type { Linear, Norm, Weight, WeightDType } from "../tensor/program.ts";
import { type Shape, size } from "../tensor/shape.ts";
import type { TowerConfig } from "./config.ts";
import type { Block, Mlp } from "./transformer.ts";

/** A range of rows of a tensor in the checkpoint, by its canonical name; of one axis, a range of elements. */
export interface Piece {
  readonly name: string;
  /** What the tensor's shape must be. */
  readonly shape: Shape;
  readonly from: number;
  readonly to: number;
}

/** A weight and the pieces of the checkpoint that it consists of, one under the other. */
export interface Binding {
  readonly weight: Weight;
  readonly pieces: readonly Piece[];
  /** Whether it goes to the backend row by row in its dtype, or as a small float32 tensor. */
  readonly matrix: boolean;
}

/**
 * Names and shapes of a model's weights under a prefix: what is asked for here is noted as a binding, to be loaded later. Nothing is
 * read, so a program can be built from a configuration alone.
 */
export class Params {
  /** Everything asked for so far, under all prefixes. */
  readonly bindings: Binding[];
  private readonly prefix: string;
  private readonly dtype: WeightDType;

  /** `dtype` is that of the matrices. */
  constructor(prefix: string, dtype: WeightDType, bindings: Binding[] = []) {
    this.prefix = prefix;
    this.dtype = dtype;
    this.bindings = bindings;
  }

  /** The parameters below `name`. */
  at(name: string): Params {
    return new Params(`${this.prefix}${name}.`, this.dtype, this.bindings);
  }

  /** A small float32 tensor: a bias, a norm's weight, positions, the probe. */
  tensor(name: string, shape: Shape): Weight {
    return this.bind(shape, [this.piece(name, shape)]);
  }

  /** `name.weight`, of which all axes but the first are made one, and `name.bias`. */
  linear(name: string, shape: Shape, dtype: WeightDType = this.dtype): Linear {
    const weight = this.bind([shape[0], size(shape.slice(1))], [this.piece(`${name}.weight`, shape)], dtype);
    return { weight, bias: this.tensor(`${name}.bias`, [shape[0]]) };
  }

  /**
   * `patch_embedding`: a convolution [out, channels, patch, patch], or `flat`, a linear map. Being an embedding it is
   * never stored in less than half precision.
   */
  patches(out: number, channels: number, patch: number, flat: boolean): Linear {
    const shape = flat ? [out, patch * patch * channels] : [out, channels, patch, patch];
    return this.linear("patch_embedding", shape, this.dtype === "f32" ? "f32" : "f16");
  }

  /** `name.weight` and `name.bias` of a layer norm over `width` features. */
  norm(name: string, width: number, eps: number): Norm {
    return { weight: this.tensor(`${name}.weight`, [width]), bias: this.tensor(`${name}.bias`, [width]), eps };
  }

  /** `fc1` [inner, width] and `fc2` [width, inner]. */
  mlp(width: number, inner: number): Mlp {
    return { fc1: this.linear("fc1", [inner, width]), fc2: this.linear("fc2", [width, inner]) };
  }

  /** The first third (q) and the rest (k, v) of torch's fused `in_proj_weight` [3 width, width]. */
  inProjection(width: number): { q: Linear; kv: Linear } {
    const part = (from: number, to: number): Linear => {
      const weight = this.piece("in_proj_weight", [3 * width, width], from, to);
      const bias = this.piece("in_proj_bias", [3 * width], from, to);
      return { weight: this.bind([to - from, width], [weight], this.dtype), bias: this.bind([to - from], [bias]) };
    };
    return { q: part(0, width), kv: part(width, 3 * width) };
  }

  /** The encoder blocks `name.0`, `name.1`, …, q, k and v fused into one projection. */
  blocks(name: string, { hidden, mlp, eps, layers }: TowerConfig): Block[] {
    return Array.from({ length: layers }, (_, index) => {
      const p = this.at(`${name}.${index}`);
      return {
        norm1: p.norm("layer_norm1", hidden, eps),
        qkv: p.at("self_attn").fused(["q_proj", "k_proj", "v_proj"], hidden),
        out: p.linear("self_attn.out_proj", [hidden, hidden]),
        norm2: p.norm("layer_norm2", hidden, eps),
        mlp: p.at("mlp").mlp(hidden, mlp),
      };
    });
  }

  /** Several square projections of `width` features, stacked into one. */
  private fused(names: readonly string[], width: number): Linear {
    const weights = names.map((name) => this.piece(`${name}.weight`, [width, width]));
    const biases = names.map((name) => this.piece(`${name}.bias`, [width]));
    const out = names.length * width;
    const weight = this.bind([out, width], weights, this.dtype, `${this.prefix}qkv_proj.weight`);
    return { weight, bias: this.bind([out], biases, undefined, `${this.prefix}qkv_proj.bias`) };
  }

  private piece(name: string, shape: Shape, from = 0, to = shape[0]): Piece {
    return { name: this.prefix + name, shape, from, to };
  }

  /** Notes a weight: a matrix where a dtype says how it is stored. It is named for its first piece unless it has a name of its own. */
  private bind(shape: Shape, pieces: readonly Piece[], dtype?: WeightDType, own?: string): Weight {
    const [{ name, from }] = pieces;
    const weight = { name: own ?? (from === 0 ? name : `${name}[${from}:]`), shape, dtype: dtype ?? ("f32" as const) };
    this.bindings.push({ weight, pieces, matrix: dtype !== undefined });
    return weight;
  }
}
