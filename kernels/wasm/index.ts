/**
 * Inference in WebAssembly: kernels, each a module that imports one memory ("env" "memory") and exports `run(params,
 * chunk, scratch)`. `params` is the address of the step's words, `chunk` the piece of its work to do, `scratch` the
 * address of `step.scratch` bytes of the calling thread's own, a multiple of 64. Chunks of a step may run in any order
 * on any thread, and what comes out does not depend on it; steps run one after another. A chunk takes some ten
 * milliseconds at most.
 *
 * Activations are f32, row-major, each row padded with zeros to a multiple of 32 columns (strides below are in
 * columns); biases and norms likewise. Addresses are bytes, unsigned, and multiples of 16; no block ends at 4 GiB
 * itself. Every kernel writes its own padding.
 */

import { type ActivationForm, activations } from "./activations.ts";
import type { Module } from "./assembler.ts";
import { ATTENTION, attention, attentionScratch } from "./attention.ts";
import { activationOf, encoderOf, formsOf, linearModule, STORED, type Stored, type WeightForm } from "./forms.ts";
import { LAYER_NORM, layerNorm } from "./layer-norm.ts";
import type { Instructions } from "./math.ts";
import { pack } from "./pack.ts";
import { packRows } from "./pack-rows.ts";
import { floatBits, padded } from "./params.ts";
import { ROWS, rows } from "./rows.ts";

export { FORMS, formsOf, rowBytes, type Stored, type WeightForm, weightBytes } from "./forms.ts";
export { type Addend, type LinearCall, linearSteps, temporaryBytes } from "./linear-steps.ts";
export type { Instructions } from "./math.ts";
export { type FloatSource, packRowsStep, packStep, type Source } from "./pack-steps.ts";
export { probe } from "./probe.ts";

/** Which kernel a step runs; `kernelModule` emits it. */
export type KernelName =
  | `linear-${WeightForm}`
  | `activations-${ActivationForm}`
  | `pack-${Stored}`
  | `rows-${Stored}`
  | "layerNorm"
  | "attention"
  | "attention-integers"
  | "rows";

/** One piece of recorded work: `chunks` calls of a kernel. */
export interface Step {
  readonly kernel: KernelName;
  /** To be copied into memory, at an address that is a multiple of 4. */
  readonly params: Uint32Array<ArrayBuffer>;
  readonly chunks: number;
  /** Bytes of scratch that a thread needs. */
  readonly scratch: number;
}

/**
 * The bytes of a kernel. A shared memory is one with a maximum. Emitting takes some milliseconds: keep what is
 * compiled.
 */
export function kernelModule(
  name: KernelName,
  instructions: Instructions,
  memory: { readonly shared: boolean },
): Uint8Array<ArrayBuffer> {
  return emit(name, instructions).assemble(memory);
}

/** Every kernel that may run on an engine of these instructions. */
export function kernelNames(instructions: Instructions): KernelName[] {
  const forms = formsOf(instructions);
  const stored = Object.keys(STORED) as Stored[];
  const rounded = new Set(forms.map((form) => activationOf(form, instructions)));
  return [
    ...[...rounded].flatMap((form) => (form ? [`activations-${form}` as const] : [])),
    ...forms.map((form) => `linear-${form}` as const),
    ...stored.flatMap((kind) => [`pack-${kind}`, `rows-${kind}`] as const),
    "layerNorm",
    "attention",
    ...(instructions.dot ? ["attention-integers" as const] : []),
    "rows",
  ];
}

function emit(name: KernelName, instructions: Instructions): Module {
  if (name === "layerNorm") return layerNorm(instructions);
  if (name.startsWith("attention")) return attention(instructions, name !== "attention");
  if (name === "rows") return rows();
  const [kind, ...rest] = name.split("-");
  if (kind === "linear") return linearModule(rest.join("-") as WeightForm, instructions);
  if (kind === "activations") return activations(rest.join("-") as ActivationForm);
  const encode = encoderOf(rest[0] as Stored);
  return kind === "pack" ? pack(encode) : packRows(encode);
}

/** Rows that a chunk of a step which only reads and writes takes. */
const CHUNK_ROWS = 32;

/** Layer norm of [rows, width] over the last axis. */
export function layerNormStep(call: {
  readonly x: number;
  readonly xStride: number;
  readonly rows: number;
  readonly width: number;
  readonly weight: number;
  readonly bias: number;
  readonly eps: number;
  readonly y: number;
  readonly yStride: number;
}): Step {
  const params = LAYER_NORM.write({
    ...call,
    xStride: 4 * call.xStride,
    yStride: 4 * call.yStride,
    eps: floatBits(call.eps),
    padded: padded(call.width),
    chunkRows: CHUNK_ROWS,
  });
  return { kernel: "layerNorm", params, chunks: Math.ceil(call.rows / CHUNK_ROWS), scratch: 0 };
}

/** Row `indices[i]` (i32 in memory) of x becomes row i of y [rows, width]. */
export function rowsStep(call: {
  readonly x: number;
  readonly xStride: number;
  readonly indices: number;
  readonly rows: number;
  readonly width: number;
  readonly y: number;
  readonly yStride: number;
}): Step {
  const params = ROWS.write({
    ...call,
    xStride: 4 * call.xStride,
    yStride: 4 * call.yStride,
    padded: padded(call.width),
    chunkRows: CHUNK_ROWS,
  });
  return { kernel: "rows", params, chunks: Math.ceil(call.rows / CHUNK_ROWS), scratch: 0 };
}

/** Columns of the rows of a tensor [batch or 1, tokens, ...]. */
export interface Columns {
  /** Of the tensor. */
  readonly address: number;
  readonly stride: number;
  /** The first column. */
  readonly offset: number;
  /** The tensor holds one item, which serves every other. */
  readonly single?: boolean;
}

/** Multiply-adds of a chunk of attention: some milliseconds. */
const CHUNK = 1e8;

/** Queries that are whole blocks, whether these have four or six. */
const BLOCKS = 12;

/** The most products of 14 and 8 bits that add up to less than 2^31. */
const MOST = 1024;

/**
 * Softmax attention, all heads: q [batch or 1, queries, ...], k and v [batch, keys, ...], y [batch, queries, heads *
 * head].
 */
export function attentionStep(call: {
  readonly q: Columns;
  readonly k: Columns;
  readonly v: Columns;
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly head: number;
  /** Whether all is multiplied as integers, where shapes allow it and the engine takes the instructions. */
  readonly integers?: boolean;
  /** Address of how many keys of each item are attended, whole f32 [batch], 1 to `keys`; without it all are. */
  readonly lengths?: number;
  readonly y: number;
  readonly yStride: number;
}): Step {
  const { q, k, v, batch, queries, keys, heads, head } = call;
  const at = ({ address, offset }: Columns) => address + 4 * offset;
  const item = ({ stride, single }: Columns, tokens: number) => (single ? 0 : 4 * stride * tokens);
  const least = Math.max(1, Math.ceil((queries * keys * head) / CHUNK));
  const chunkQueries = Math.ceil(queries / least / BLOCKS) * BLOCKS;
  const queryChunks = Math.ceil(queries / chunkQueries);
  const params = ATTENTION.write({
    ...call,
    q: at(q),
    qStride: 4 * q.stride,
    qItem: item(q, queries),
    k: at(k),
    kStride: 4 * k.stride,
    kItem: item(k, keys),
    v: at(v),
    vStride: 4 * v.stride,
    vItem: item(v, keys),
    lengths: call.lengths ?? 0,
    scale: floatBits(1 / Math.sqrt(head)),
    yStride: 4 * call.yStride,
    padded: padded(heads * head),
    chunkQueries,
    queryChunks,
  });
  const kernel = call.integers && head % 8 === 0 && Math.max(keys, head) <= MOST ? "attention-integers" : "attention";
  return { kernel, params, chunks: batch * heads * queryChunks, scratch: attentionScratch(keys, head) };
}
