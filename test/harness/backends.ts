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

interface TestOptions {
  readonly precision: string;
  readonly skip?: string;
  readonly timeout?: number;
  /** One backend for all tests that say so; `disposeKept` is to be called at the end of their file. */
  readonly keep?: boolean;
}

type Test = (name: string, options: TestOptions, body: (backend: Backend) => Promise<void>) => void;

/** Every backend, and how a test of it is declared; the backend is new and is disposed afterwards, unless it is to be kept. */
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
    test: (name, { keep, ...options }, body) =>
      onGpu(name, options, ({ device }) => {
        const open = async () => new WebGpuBackend(device, forTest(device));
        return using(keep ? `webgpu ${options.precision}` : undefined, open, body);
      }),
  },
];

/** Declares a test on every backend. */
export function onEvery(
  name: string,
  options: TestOptions,
  body: (backend: Backend, judged: Judged) => Promise<void>,
): void {
  for (const judged of BACKENDS) judged.test(`${name} on ${judged.name}`, options, (b) => body(b, judged));
}

function onHost(backend: string, open: (options: TestOptions) => Promise<Backend>): Test {
  return (name, { keep, ...options }, body) =>
    tallied(name, { backend, ...options }, () =>
      using(keep ? `${backend} ${options.precision}` : undefined, () => open(options), body),
    );
}

/** With the form of a dtype that is tried first; every form has tests of its own. */
async function openWasm({ precision }: { precision: string }): Promise<Backend> {
  const options = { named: true, chosenForms: () => new Map(), gpu: async () => undefined, withoutGpu: () => "" };
  const opened = await open({ ...options, dtype: DTYPES.find((one) => one === precision), threading: nodeThreads });
  return opened!.backend;
}

const kept = new Map<string, Promise<Backend>>();

/** Disposes of the backends that tests have kept. */
export async function disposeKept(): Promise<void> {
  for (const backend of kept.values()) (await backend).dispose();
  kept.clear();
}

/** Runs a test on a backend: the one that is kept by that name, if it has one. */
async function using(
  name: string | undefined,
  open: () => Promise<Backend>,
  body: (backend: Backend) => Promise<void>,
): Promise<void> {
  if (name !== undefined) {
    if (!kept.has(name)) kept.set(name, open());
    return body(await kept.get(name)!);
  }
  const backend = await open();
  try {
    await body(backend);
  } finally {
    backend.dispose();
  }
}
