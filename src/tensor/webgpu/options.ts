import type { Threads } from "../wasm/crowd.ts";
import type { ChosenForms } from "./choose.ts";
import type { Storage } from "./stored.ts";
import type { AttentionName, LinearName } from "./tiles.ts";

/** Kernel forms to use whatever the shape, as far as they fit; else they are chosen by trial on this device. */
export interface Pinned {
  /** Of every linear map. */
  readonly linear?: LinearName;
  /** Of attention between tokens; the single query of the MAP head has forms of its own. */
  readonly attention?: AttentionName;
}

/** Options of the webgpu backend. */
export interface WebGpuOptions extends Pinned {
  /** Precision of activations between operations; the residual stream is f32 always. "f16" needs shader-f16. */
  readonly activations?: Storage;
  /** Where weights are rounded: on the device by default, but for adapters that run shaders on the CPU. */
  readonly rounding?: "device" | "host";
  /** What the runtime has for threads, on which the host rounds; without it it does so on the caller's own. */
  readonly threading?: () => Threads | Promise<Threads>;
  /** Forms chosen by earlier trials on the same adapter; what is chosen anew is added. */
  readonly chosen?: ChosenForms;
}

/** Forms for adapters that run shaders on the CPU: quick to compile, and nothing staged in workgroup memory. */
export const SOFTWARE: Pinned = { linear: "direct", attention: "16x16" };
