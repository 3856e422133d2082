// Measures kernels, away from the page's thread. To stop is to end this worker, which frees the device at once.
import copy from "../../../bench/ceilings/copy.wgsl";
import fma from "../../../bench/ceilings/fma.wgsl";
import matrix from "../../../bench/ceilings/matrix.wgsl";
import { type Ceilings, measureCeilings } from "../../../bench/lib/ceilings.ts";
import { type Adapter, openBench } from "../../../bench/lib/device.ts";
import type { KernelRow } from "../../../bench/operations/measure.ts";
import { isReduced, measureKernels, type Wanted } from "../../../bench/operations/suite.ts";
import { mismatch } from "../../support/error.ts";
import { sentence } from "../dom.ts";

/** What the worker tells, in this order; `failed` may come at any time and is the last. */
export type Told =
  | { readonly adapter: Adapter; readonly full: boolean }
  | { readonly note: string }
  | { readonly ceilings: Ceilings }
  | { readonly row: KernelRow }
  | { readonly done: { readonly pipelines: number; readonly seconds: number } }
  | { readonly failed: string };

/** Milliseconds within which a device says that it is lost, after a call has failed of it. */
const MOMENT = 100;

const tell = (told: Told) => self.postMessage(told);

self.onmessage = ({ data }: MessageEvent<Wanted>) => run(data).catch(failSoon);
// Errors of the device that nobody waits for.
self.addEventListener("unhandledrejection", ({ reason }) => failSoon(reason));

async function run(wanted: Wanted): Promise<void> {
  const bench = await openBench(navigator.gpu, true);
  bench.device.lost.then(({ reason, message }) =>
    fail(mismatch("device-lost", "bench", "a device that lasts", `it lost (${message || reason})`, "measure again")),
  );
  tell({ adapter: bench.adapter, full: !isReduced(bench) });
  const ceilings = await measureCeilings(bench, { copy, fma, matrix }, (note) => tell({ note }));
  tell({ ceilings });
  for await (const row of measureKernels(bench, ceilings, wanted)) tell({ row });
  tell({ done: bench.profile.compiled() });
}

/** Leaves the word to a lost device: what failed of it knows less. The page ends this worker at the first word. */
function failSoon(error: unknown): void {
  setTimeout(fail, MOMENT, error);
}

function fail(error: unknown): void {
  tell({ failed: sentence(error) });
}
