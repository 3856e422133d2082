import type { SiglipConfig } from "../../src/model/config.ts";
import { bindTowers, imageProgram, type Tower, textProgram } from "../../src/model/towers.ts";
import { costs } from "../../src/tensor/cost.ts";
import type { Ceilings } from "./ceilings.ts";

/** Half-precision work may be done in either precision, so the faster one is its ceiling. */
export function fmaCeiling(ceilings: Ceilings, activations: "f32" | "f16"): "f32" | "f16" {
  return activations === "f16" && (ceilings.f16 ?? 0) > ceilings.f32 ? "f16" : "f32";
}

/** Floating point operations of one item through a tower: linear maps and attention, a multiply-add counted as two. */
export function towerFlops(config: SiglipConfig, tower: Tower): number {
  const { vision, text } = bindTowers(config, "f32");
  const program = tower === "image" ? imageProgram(vision, 1) : textProgram(text, 1);
  const counted = costs(program).filter(({ kind }) => kind === "linear" || kind === "attention");
  return counted.reduce((sum, { flops }) => sum + flops, 0);
}
