import type { SiglipConfig, TowerConfig } from "../../src/model/config.ts";
import type { Tower } from "../../src/model/towers.ts";
import type { Ceilings } from "./ceilings.ts";

/** Half-precision work may be done in either precision, so the faster one is its ceiling. */
export function fmaCeiling(ceilings: Ceilings, activations: "f32" | "f16"): "f32" | "f16" {
  return activations === "f16" && (ceilings.f16 ?? 0) > ceilings.f32 ? "f16" : "f32";
}

/** Floating point operations of one item through a tower: linear maps and attention, a multiply-add counted as two. */
export function towerFlops(config: SiglipConfig, tower: Tower): number {
  if (tower === "text") {
    const { text } = config;
    return encoderFlops(text, text.positions) + 2 * text.hidden * text.projection;
  }
  const { vision } = config;
  const { hidden, mlp, tokens, patchSize, channels } = vision;
  const patches = 2 * tokens * hidden * channels * patchSize ** 2;
  // The MAP head: keys and values of every token, one query, its attention, its projection and its perceptron.
  const head = 2 * tokens * 2 * hidden ** 2 + 2 * 2 * hidden ** 2 + 4 * tokens * hidden + 4 * hidden * mlp;
  return patches + encoderFlops(vision, tokens) + head;
}

function encoderFlops({ layers, hidden, mlp }: TowerConfig, tokens: number): number {
  const linear = 2 * tokens * (4 * hidden ** 2 + 2 * hidden * mlp);
  return layers * (linear + 4 * tokens ** 2 * hidden);
}
