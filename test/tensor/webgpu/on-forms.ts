import type { WeightDType } from "../../../src/tensor/program.ts";
import { SOFTWARE } from "../../../src/tensor/webgpu/options.ts";
import {
  ATTENTION,
  type AttentionForm,
  type AttentionName,
  LINEAR,
  type LinearForm,
  type LinearName,
} from "../../../src/tensor/webgpu/tiles.ts";
import type { Case } from "../conformance.ts";
import { onDevice } from "./on-device.ts";

/**
 * Runs cases in every form of linear but software's own, which has more of them: of weights as `dtypes` says, and where
 * activations are halves as well.
 */
export function everyLinear(
  dtypes: (name: LinearName) => readonly WeightDType[],
  cases: (form: LinearForm) => readonly Case[],
): void {
  for (const [name, form] of Object.entries(LINEAR) as [LinearName, LinearForm][]) {
    if (name === SOFTWARE.linear) continue;
    for (const dtype of dtypes(name)) {
      for (const one of cases(form)) {
        if (!form.half) onDevice(one, dtype, { linear: name });
        if (dtype !== "f32") onDevice(one, dtype, { linear: name, activations: "f16" });
      }
    }
  }
}

/** Runs cases in every form of attention but software's own, in both precisions of activations. */
export function everyAttention(cases: (form: AttentionForm) => readonly Case[]): void {
  for (const [name, form] of Object.entries(ATTENTION) as [AttentionName, AttentionForm][]) {
    if (name === SOFTWARE.attention) continue;
    for (const one of cases(form)) {
      if (!form.half) onDevice(one, "f32", { attention: name });
      onDevice(one, "f16", { attention: name, activations: "f16" });
    }
  }
}
