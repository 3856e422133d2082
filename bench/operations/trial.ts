import type { Recorder, StoredDType, Value } from "../../src/tensor/program.ts";
import type { WebGpuBackend } from "../../src/tensor/webgpu/backend.ts";
import { capabilitiesOf } from "../../src/tensor/webgpu/device.ts";
import type { Constants } from "../../src/tensor/webgpu/specialise.ts";
import { type AttentionForm, type LinearForm, runs } from "../../src/tensor/webgpu/tiles.ts";
import type { Ceilings } from "../lib/ceilings.ts";
import type { Inputs, Storage } from "./inputs.ts";

/** The operations by their names in the results, in the order in which they are measured. */
export const OPERATIONS = ["linear", "attention", "layer_norm"] as const;

export type Operation = (typeof OPERATIONS)[number];

/** What is measured, as it stands in the results. */
export interface Subject {
  readonly op: Operation;
  /** Where the shape comes from: a layer of the towers. */
  readonly layer: string;
  /** Rows of the result. */
  readonly rows: number;
  readonly shape: string;
  readonly form: string;
  readonly weights?: StoredDType;
  readonly activations: Storage;
}

/** One form of one operation on one shape, ready to be verified and then timed. */
export interface Trial extends Subject {
  readonly backend: WebGpuBackend;
  /** The kernel and constants that have to be what ran. */
  readonly kernel: string;
  readonly constants: Constants;
  /** Records the inputs; what it returns records the operation once. */
  readonly record: (p: Recorder) => () => Value;
  /** Rows of the result to verify, and what they should be, in float64. */
  readonly sample: readonly number[];
  readonly expected: () => Promise<Float64Array>;
  /** The bound on the normalised mean squared error. */
  readonly gate: number;
  readonly flops: number;
  /** Bytes that must be read and written at least once. */
  readonly bytes: number;
  /** What limits it from above. */
  readonly ceiling: Exclude<keyof Ceilings, "halved">;
  /** As `record`, with half the work. */
  readonly half?: (p: Recorder) => () => Value;
}

/** What of a trial goes into the results. */
export function subject({ op, layer, rows, shape, form, weights, activations }: Subject): Subject {
  return { op, layer, rows, shape, form, weights, activations };
}

/** A form that this device cannot run. */
export interface Skip {
  readonly op: Subject["op"];
  readonly form: string;
  readonly activations: Storage;
  readonly skipped: string;
}

/** What trials are made of and which are wanted; absent means all. */
export interface Plan {
  readonly device: GPUDevice;
  readonly inputs: Inputs;
  /** Rows of the result, in ascending order. */
  readonly rows: readonly number[];
  /** More of them, of linear maps with f16 weights only. */
  readonly more: readonly number[];
  readonly activations: readonly Storage[];
  readonly weights: readonly StoredDType[];
  readonly form?: string;
}

/**
 * The conformance suite's bounds on the normalised mean squared error: float32 sums over K stay below 1e-10; half precision
 * operands or results (2^-11 a value, squared, with room) below 1e-6.
 */
export function gate(half: boolean): number {
  return half ? 1e-6 : 1e-10;
}

/** Rows worth looking at: the first, the last, and those on both sides of a tile's edge. */
export function sampleRows(rows: number): number[] {
  const wanted = [0, 1, 31, 32, 63, 64, rows >> 1, rows - 2, rows - 1];
  return [...new Set(wanted)].filter((row) => row >= 0 && row < rows).sort((a, b) => a - b);
}

/** Why a form, or a kernel that has but one, does not run on a device with such activations; undefined where it does. */
export function missing(
  device: GPUDevice,
  activations: Storage,
  form?: LinearForm | AttentionForm,
): string | undefined {
  if (activations === "f16" && !device.features.has("shader-f16")) return "the device lacks shader-f16";
  const own = capabilitiesOf(device, activations === "f16");
  if (!form || runs(form, own)) return undefined;
  if (form.half && !own.half) return "it multiplies halves, which float32 activations are not worth";
  if (form.kernel.endsWith("_matrix") && !own.unit) return "the device has no matrix unit for halves";
  return `it wants ${form.memory} bytes of workgroup memory, the device has ${own.memory}`;
}

/** Bytes of an element. */
export function bytesOf(storage: Storage): number {
  return storage === "f16" ? 2 : 4;
}
