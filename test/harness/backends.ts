import type { Backend } from "../../src/tensor/backend.ts";
import { CpuBackend } from "../../src/tensor/cpu.ts";
import { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { BOUND, GATE } from "../judge/bounds.ts";
import { onGpu, tallied } from "./cases.ts";
import { forTest } from "./gpu.ts";

/** A backend as tests hold it to account. */
export interface Judged {
  readonly name: string;
  /** Of one operation; see GATE. */
  readonly gate: number;
  /** Of a tower; see BOUND. */
  readonly golden: number;
}

type Test = (
  name: string,
  options: { precision: string; skip?: string; timeout?: number },
  body: (backend: Backend) => Promise<void>,
) => void;

/** Every backend, and how a test of it is declared; the backend is new and is disposed afterwards. */
export const BACKENDS: readonly (Judged & { readonly test: Test })[] = [
  { name: "cpu", gate: GATE.cpu, golden: BOUND.cpu, test: onHost("cpu", async () => new CpuBackend()) },
  {
    name: "webgpu",
    gate: GATE.f32,
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

function onHost(backend: string, open: () => Promise<Backend>): Test {
  return (name, options, body) => tallied(name, { backend, ...options }, async () => using(await open(), body));
}

async function using(backend: Backend, body: (backend: Backend) => Promise<void>): Promise<void> {
  try {
    await body(backend);
  } finally {
    backend.dispose();
  }
}
