import type { ModelFiles } from "../files/model-files.ts";
import type { Patches, Recipe } from "../image/patches.ts";
import type { DecodeOptions, Pixels } from "../image/pixels.ts";
import type { Tower } from "../model/towers.ts";
import type { StoredDType } from "../tensor/program.ts";
import type { Threads } from "../tensor/wasm/crowd.ts";

/** What is kept of a model, and who is told of what goes wrong with that. */
export interface KeepOptions {
  readonly dtype: StoredDType;
  readonly towers: readonly Tower[];
  readonly onWarning: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** What differs between runtimes: how a picture becomes pixels, and where WebGPU is. */
export interface Platform<Image> {
  decode(image: Image, options?: DecodeOptions): Promise<Pixels>;
  /** How many pictures are made ready at a time; 4 unless it says otherwise. */
  readonly atOnce?: number;
  /** What `toPatches` makes of that picture, where it can be made beside the caller's thread. */
  prepare?(image: Image, recipe: Recipe, options: DecodeOptions): Promise<Patches>;
  gpu(): Promise<GPU | undefined>;
  /** Kernel forms chosen by trial on an adapter, kept from session to session. */
  chosenForms(adapter: string): Map<string, string> | Promise<Map<string, string>>;
  /** Files from a network, kept on this machine in the precision of the load; absent where they are kept as they are. */
  keep?(files: ModelFiles, options: KeepOptions): Promise<ModelFiles>;
  /** What there is for threads. */
  threads(): Threads | Promise<Threads>;
  /** What a user can do where `gpu` has no adapter, or is not there; part of an error's sentence. */
  withoutGpu(gpu: GPU | undefined): string;
}
