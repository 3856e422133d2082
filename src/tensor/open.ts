import type { Backend } from "./backend.ts";
import type { WeightDType } from "./program.ts";
import type { Threads } from "./wasm/crowd.ts";
import type { ChosenForms } from "./webgpu/choose.ts";
import type { Pinned } from "./webgpu/options.ts";

/** What a runtime offers a backend that is opened, and what its user asked for. */
export interface OpenOptions {
  /** Asked for by name. Else a backend says no, by undefined, where another is to be preferred. */
  readonly named: boolean;
  readonly dtype?: WeightDType;
  readonly gpu: () => Promise<GPU | undefined>;
  /** What a user can do where `gpu` has no adapter, or is not there; part of an error's sentence. */
  readonly withoutGpu: (gpu: GPU | undefined) => string;
  /** Kernel forms chosen by trial on an adapter, kept from session to session. */
  readonly chosenForms: (adapter: string) => ChosenForms | Promise<ChosenForms>;
  /** A device of the user's own, which is left alive. */
  readonly device?: GPUDevice;
  /** How many threads compute, where a backend has threads. */
  readonly threads?: number;
  /** What the runtime has for threads. */
  readonly threading: () => Threads | Promise<Threads>;
  /** Kernel forms to use instead of those that trials choose. */
  readonly forms?: Pinned;
}

/** A backend that is ready, what it runs on in words, and how to give up both. */
export interface OpenedBackend {
  readonly backend: Backend;
  readonly adapter: string | undefined;
  readonly close: () => void;
}

/** How each backend's folder opens it. Rejects with a SiglipError where it was asked for by name and cannot be had. */
export type Open = (options: OpenOptions) => Promise<OpenedBackend | undefined>;
