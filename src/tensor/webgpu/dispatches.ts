import {
  type AttentionOperation,
  attentionSizes,
  type LayerNormOperation,
  type LinearOperation,
  type Operation,
  type Program,
  type Weight,
} from "../program.ts";
import { rowCount } from "../shape.ts";
import type { Pinned } from "./options.ts";
import type { Pipelines } from "./pipelines.ts";
import type { Command, Dispatch, Result } from "./steps.ts";
import { bytesOf, type Storage, type Stored, strideOf } from "./stored.ts";
import {
  ATTENTION,
  attentionForms,
  type Capabilities,
  constantsOf,
  fits,
  LINEAR,
  linearForms,
  queriesOf,
  rowClass,
} from "./tiles.ts";

/** What operations become dispatches with. */
export interface Site {
  readonly pipelines: Pipelines;
  readonly capabilities: Capabilities;
  readonly pinned: Pinned;
  /** Precision of activations. */
  readonly activations: Storage;
  /** Where a program's value lies. */
  readonly value: (id: number) => Stored & { readonly storage: Storage };
  readonly weight: (weight: Weight) => Stored;
}

/** What the device has to do for one operation. */
export function commandsOf(program: Program, operation: Operation, site: Site): Command[] {
  switch (operation.kind) {
    case "linear":
      return [{ kind: "dispatch", dispatch: linear(operation, site) }];
    case "layerNorm":
      return [{ kind: "dispatch", dispatch: layerNorm(operation, site) }];
    case "attention":
      return [{ kind: "dispatch", dispatch: attention(program, operation, site) }];
    case "rows": {
      const [x, y] = [site.value(operation.x), site.value(operation.y)];
      const bytes = strideOf(x) * bytesOf(x.storage);
      return operation.rows.map((from, to) => ({
        kind: "copy",
        from: x.buffer,
        at: from * bytes,
        to: y.buffer,
        toAt: to * bytes,
        bytes,
      }));
    }
  }
}

function linear(operation: LinearOperation, site: Site): Dispatch {
  const { capabilities, pinned, pipelines } = site;
  const [x, y] = [site.value(operation.x), site.value(operation.y)];
  const [weight, bias] = [site.weight(operation.weight), site.weight(operation.bias)];
  const addend = operation.add === undefined ? bias : site.value(operation.add);
  const rows = rowCount(x.shape);
  const constants = {
    act: x.storage,
    result: y.storage,
    WEIGHTS: weight.storage.toUpperCase(),
    GELU: operation.gelu,
    ADD: operation.add !== undefined,
  };
  const names = pinned.linear ? [pinned.linear] : linearForms(rows, capabilities);
  return whole(rows, 2 * strideOf(x) * strideOf(y), (count) => ({
    key: `linear ${rowClass(rows)} rows ${strideOf(x)} to ${strideOf(y)} ${weight.storage} ${x.storage} ${y.storage}`,
    forms: names.map((name) => ({
      name,
      pipeline: () => pipelines.get(LINEAR[name].kernel, { ...constantsOf(LINEAR[name], capabilities), ...constants }),
      groups: [Math.ceil(strideOf(y) / LINEAR[name].columns), Math.ceil(count / LINEAR[name].rows), 1],
    })),
    words: [count, strideOf(x), strideOf(y), rowCount(addend.shape)],
    buffers: [x.buffer, weight.buffer, weight.scales ?? bias.buffer, bias.buffer, addend.buffer, y.buffer],
    result: result(site, y, count),
  }));
}

function layerNorm(operation: LayerNormOperation, site: Site): Dispatch {
  const [x, y] = [site.value(operation.x), site.value(operation.y)];
  const rows = rowCount(x.shape);
  // One workgroup a row, in two dimensions where there are more than one dimension holds.
  const across = Math.min(rows, 32768);
  return {
    key: "layer_norm",
    forms: [
      {
        name: "rows",
        pipeline: () => site.pipelines.get("layer_norm", { act: x.storage, result: y.storage }),
        groups: [across, Math.ceil(rows / across), 1],
      },
    ],
    result: result(site, y, rows),
    words: [rows, x.shape.at(-1)!, strideOf(x), floatBits(operation.eps)],
    buffers: [x.buffer, site.weight(operation.weight).buffer, site.weight(operation.bias).buffer, y.buffer],
    work: 8 * rows * strideOf(x),
  };
}

function attention(program: Program, operation: AttentionOperation, site: Site): Dispatch {
  const { capabilities, pinned, pipelines } = site;
  const { batch, queries, keys, head } = attentionSizes(program, operation);
  const { heads, width, offsets, lengths } = operation;
  const [q, k, v] = [site.value(operation.q), site.value(operation.k), site.value(operation.v)];
  const y = site.value(operation.y);
  const act = q.storage;
  // Every batch has a length of its own: one trial has to do for those of about the same.
  const seen = lengths === undefined ? keys : `up to ${rowClass(keys)}`;
  const suits = pinned.attention && queries > 1 && fits(ATTENTION[pinned.attention], head, capabilities.memory);
  const names = suits ? [pinned.attention!] : attentionForms(head, queries, capabilities);
  return whole(batch, 4 * queries * keys * width, (count) => ({
    key: `attention ${rowClass(batch * queries)} rows ${seen} keys ${heads} heads of ${head} ${act}`,
    forms: names.map((name) => ({
      name,
      pipeline: () =>
        pipelines.get(ATTENTION[name].kernel, {
          ...constantsOf(ATTENTION[name], capabilities),
          HEAD: head,
          LENGTHS: lengths !== undefined,
          act,
          result: y.storage,
        }),
      groups: [Math.ceil(queries / queriesOf(ATTENTION[name], capabilities)), heads, count],
    })),
    words: [
      queries,
      keys,
      heads,
      q.shape[0] === 1 ? 0 : queries,
      strideOf(q),
      offsets[0],
      strideOf(k),
      offsets[1],
      strideOf(v),
      offsets[2],
      strideOf(y),
      floatBits(1 / Math.sqrt(head)),
    ],
    buffers: [q, k, v, lengths === undefined ? q : site.value(lengths), y].map(({ buffer }) => buffer),
    result: result(site, y, count * queries),
  }));
}

/** Work on `count` rows or items that may be cut up, and tried out on its beginning. */
function whole(count: number, workEach: number, describe: (count: number) => Omit<Dispatch, "work">): Dispatch {
  const part = (work: number): Dispatch => {
    const some = Math.min(count, Math.max(1, Math.floor(work / workEach)));
    return { ...describe(some), work: some * workEach, split: true, part };
  };
  return part(Number.POSITIVE_INFINITY);
}

/** The first `rows` rows of a value as the result of a dispatch. */
function result({ activations }: Site, y: Stored & { readonly storage: Storage }, rows: number): Result {
  return { bytes: rows * strideOf(y) * bytesOf(y.storage), storage: y.storage, precision: activations };
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** A float's place among the u32 words of a uniform. */
function floatBits(value: number): number {
  float[0] = value;
  return word[0];
}
