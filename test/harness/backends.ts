import { nodeThreads } from "../../src/node/threads.ts";
import type { Backend } from "../../src/tensor/backend.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import type { WeightDType } from "../../src/tensor/program.ts";
import { open } from "../../src/tensor/wasm/open.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { BOUND, GATE, WASM_GATE } from "../judge/bounds.ts";
import { onGpu, tallied } from "./cases.ts";
import { forTest } from "./gpu.ts";

/** A backend as tests hold it to account. */
export interface Judged {
  readonly name: string;
  /** Of one operation whose weights are stored so; see GATE. */
  readonly gate: (dtype: WeightDType) => number;
  readonly dtypes: readonly WeightDType[];
  /** Of a tower; see BOUND. */
  readonly golden: number;
}

const WEIGHTS = ["f32", "f16", "q8", "q4"] as const;
const DTYPES = ["f32", "f16", "q8", "i8", "q4"] as const;

type Test = (
  name: string,
  options: { precision: string; skip?: string; timeout?: number },
  body: (backend: Backend) => Promise<void>,
) => void;

/** Every backend, and how a test of it is declared; the backend is new and is disposed afterwards. */
export const BACKENDS: readonly (Judged & { readonly test: Test })[] = [
  {
    name: "cpu",
    gate: () => GATE.cpu,
    dtypes: WEIGHTS,
    golden: BOUND.cpu,
    test: onHost("cpu", async () => new CpuBackend()),
  },
  {
    name: "wasm",
    gate: (dtype) => WASM_GATE[dtype],
    dtypes: DTYPES,
    golden: BOUND.f32,
    test: onHost("wasm", openWasm),
  },
  {
    name: "webgpu",
    gate: () => GATE.f32,
    dtypes: WEIGHTS,
    golden: BOUND.f32,
    test: (name, options, body) =>
      onGpu(name, options, ({ device }) => using(new WebGpuBackend(device, forTest(device)), body)),
  },
];

/** Declares a test on every backend. */
export function onEvery(
  name: string,
  options: { precision: string; skip?: string; timeout?: number },
  body: (backend: Backend, judged: Judged) => Promise<void>,
): void {
  for (const judged of BACKENDS) judged.test(`${name} on ${judged.name}`, options, (b) => body(b, judged));
}

function onHost(backend: string, open: (options: { precision: string }) => Promise<Backend>): Test {
  return (name, options, body) => tallied(name, { backend, ...options }, async () => using(await open(options), body));
}

/** With the form of a dtype that is tried first; every form has tests of its own. */
async function openWasm({ precision }: { precision: string }): Promise<Backend> {
  const options = { named: true, chosenForms: () => new Map(), gpu: async () => undefined, withoutGpu: "" };
  const opened = await open({ ...options, dtype: DTYPES.find((one) => one === precision), threading: nodeThreads });
  return opened!.backend;
}

async function using(backend: Backend, body: (backend: Backend) => Promise<void>): Promise<void> {
  try {
    await body(backend);
  } finally {
    backend.dispose();
  }
}
