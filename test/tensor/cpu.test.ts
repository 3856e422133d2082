import { expect, it, vi } from "vitest";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import { Recorder, type Value } from "../../src/tensor/program.ts";

const bias = { name: "b", shape: [32], dtype: "f32" } as const;
const weight = { name: "w", shape: [32, 32], dtype: "f32" } as const;

/** Single operations, each four times as long as the event loop may be kept. */
const OPERATIONS: Readonly<Record<string, [rows: number, record: (p: Recorder, x: Value) => Value]>> = {
  attention: [
    1024,
    (p, value) => {
      const view = { value, offset: 0, width: 32 };
      return p.attention(view, view, view, 1);
    },
  ],
  linear: [2 ** 16, (p, x) => p.linear(x, { weight, bias }, { gelu: true, add: x })],
  "layer norm": [2 ** 18, (p, x) => p.layerNorm(x, { weight: bias, bias, eps: 1e-6 })],
};

for (const [name, [rows, record]] of Object.entries(OPERATIONS)) {
  it(`the event loop has its turn in the midst of one ${name}`, async () => {
    const backend = new CpuBackend();
    backend.constant(bias, new Float32Array(32).fill(1));
    const chunks = (async function* () {
      yield { dtype: "F32", rows: 32, bytes: new Uint8Array(4 * 32 * 32) } as const;
    })();
    await backend.weight(weight, chunks);
    const p = new Recorder();
    const x = p.input("x", [1, rows, 32]);
    p.output("y", record(p, x));
    const pause = vi.spyOn(backend as unknown as { pause(): Promise<void> }, "pause");
    await backend.run(p.finish(), { x: new Float32Array(rows * 32).fill(0.5) });
    expect(pause.mock.calls.length).toBeGreaterThanOrEqual(4);
    backend.dispose();
  });
}
