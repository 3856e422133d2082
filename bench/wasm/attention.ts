import { attentionStep, type Instructions } from "../../kernels/wasm/index.ts";
import { padRows } from "../../src/tensor/packing.ts";
import { padded } from "../../src/tensor/shape.ts";
import * as reference from "../../test/judge/reference.ts";
import { random } from "../../test/judge/reference.ts";
import type { WasmRow } from "./linear.ts";
import { Runner } from "./runner.ts";

/** So400m's image tower. */
const [TOKENS, HEADS, HEAD] = [729, 16, 72];

/** Normalised mean squared error that a form may have: of floats, and of keys and values in bytes. */
const LOSS = { attention: 1e-10, "attention-integers": 3e-4 };

const REPEATS = 5;

/** Attention of one picture on one thread, in floats or integers, as a share of `ceiling` FLOP/s; see `WasmRow`. */
export function measureAttention(instructions: Instructions, integers: boolean, ceiling: number): WasmRow {
  const runner = new Runner(instructions);
  const width = HEADS * HEAD;
  const stride = padded(3 * width);
  const values = random(TOKENS * 3 * width, 1);
  const address = runner.put(padRows(values, 3 * width, stride));
  const y = runner.allocate(4 * TOKENS * padded(width));
  const [q, k, v] = [0, 1, 2].map((part) => ({ address, stride, offset: part * width }));
  const sizes = { batch: 1, queries: TOKENS, keys: TOKENS, heads: HEADS, head: HEAD };
  const step = attentionStep({ q, k, v, ...sizes, y, yStride: padded(width), integers });
  runner.run([step]);
  // The first head, against float64.
  const [one, two, three] = [0, 1, 2].map((part) => ({
    ...{ data: values, tokens: TOKENS, stride: 3 * width, offset: part * width },
  }));
  const expected = reference.attention(one, two, three, HEAD, 1);
  const found = runner.floats(y, TOKENS * padded(width));
  let [error, power] = [0, 0];
  for (const [i, value] of expected.entries()) {
    error += (found[Math.floor(i / HEAD) * padded(width) + (i % HEAD)] - value) ** 2;
    power += value ** 2;
  }
  const form = integers ? "attention-integers" : "attention";
  const row = { form, shape: `${TOKENS} x ${TOKENS} x ${HEADS} x ${HEAD}`, nmse: error / power } as const;
  if (!(row.nmse < LOSS[form])) return { ...row, error: `error ${row.nmse}, at most ${LOSS[form]} allowed` };
  const seconds = runner.run([step], REPEATS)[0] / 1e3;
  const flopsPerSecond = (4 * TOKENS * TOKENS * width) / seconds;
  return { ...row, seconds, flopsPerSecond, ofCeiling: flopsPerSecond / ceiling };
}
