import type { Body } from "./assembler.ts";
import { type Expr, type F32, f32, i32, type Local, min } from "./instructions.ts";

/** A block of 32-bit words in memory that describes a step to its kernel, each with a name. */
export interface Layout<N extends string> {
  /** The words for these values; of what is a float in memory give `floatBits`. Addresses are bytes, unsigned. */
  write(values: Readonly<Record<N, number>>): Uint32Array<ArrayBuffer>;
  /** What loads each of them; `let` keeps one that is used often. */
  load(params: Expr<"i32">): Readonly<Record<N, Expr<"i32">>>;
}

export function layout<N extends string>(...names: N[]): Layout<N> {
  return {
    write: (values) => Uint32Array.from(names, (name) => values[name]),
    load: (params) =>
      Object.fromEntries(names.map((name, i) => [name, i32.load(params, 4 * i)])) as Record<N, Expr<"i32">>,
  };
}

/** The bits of a float32. */
export function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}

/** A word that holds a float32's bits. */
export function asFloat(word: Expr<"i32">): F32 {
  return f32.reinterpret_i32(word);
}

/** How many tokens of an item count: `lengths[item]`, a whole f32, or all where `lengths` is 0; 1 at least. */
export function addLength(f: Body, lengths: Expr<"i32">, item: Expr<"i32">, all: Expr<"i32">): Local<"i32"> {
  const length = f.let(all);
  f.when(lengths, () => {
    const own = f.let(i32.trunc_sat_f32_u(f32.load(i32.add(lengths, i32.shl(item, 2)))));
    f.set(length, min(length, own));
    f.bump(length, i32.eq(length, 0));
  });
  return length;
}

/** Of `all`, those that a chunk takes which has `each` of them: the first, and the one behind the last. */
export function share(
  f: Body,
  chunk: Expr<"i32">,
  each: Expr<"i32">,
  all: Expr<"i32">,
): [first: Local<"i32">, end: Local<"i32">] {
  const first = f.let(i32.mul(chunk, each));
  return [first, f.let(min(i32.add(first, each), all))];
}

/** Weights that share a scale, and what widths are padded to. */
export const GROUP = 32;

/** A width, padded: so far rows lie apart and are filled with zeros. */
export function padded(width: number): number {
  return Math.ceil(width / GROUP) * GROUP;
}
