import manifest from "../../../weights/manifest.json" with { type: "json" };
import type { WeightDType } from "../../index.ts";

/** A published checkpoint, float32 in one file or several. */
export interface Known {
  /** On the Hugging Face Hub. */
  readonly id: string;
  /** Of both towers, the token table apart, which stays off the device. */
  readonly parameters: { readonly image: number; readonly text: number; readonly table: number };
  /** Side of the pictures; null where they keep their shape. */
  readonly pixels: number | null;
}

/** The published checkpoints. */
export const KNOWN: readonly Known[] = manifest.checkpoints.map(({ id, parameters, defaults }) => ({
  id,
  parameters,
  pixels: defaults.pixels,
}));

/** What those should try first who do not know which: small, and good enough to see what SigLIP can do. */
export const RECOMMENDED = manifest.recommended as { readonly id: string; readonly dtype: WeightDType };

/** The published checkpoints from the smallest to the largest, the recommended one before all. */
export function ordered(): Known[] {
  const size = ({ parameters }: Known) => Object.values(parameters).reduce((sum, count) => sum + count);
  const rank = (known: Known) => (known.id === RECOMMENDED.id ? 0 : size(known));
  return [...KNOWN].sort((a, b) => rank(a) - rank(b) || (a.pixels ?? 0) - (b.pixels ?? 0));
}
