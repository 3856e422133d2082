import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, type TestContext } from "vitest";

/** The demo's pictures, texts and what they must give. */
export const demo = fileURLToPath(new URL("../../weights/demo/examples/", import.meta.url));
export const { examples } = JSON.parse(readFileSync(`${demo}examples.json`, "utf8"));
export const [example] = examples;
const reference: readonly number[] = example.image_pooled;

/** The bounds of the golden tests: the demo's logits, and the relative error of a tower in float32. */
export const LOGIT = 0.01;
const ERROR = { cpu: 1e-6, wasm: 1e-5, webgpu: 1e-5 };

/** What an installed package gave for the example. */
export interface Scored {
  readonly backend: "cpu" | "wasm" | "webgpu";
  readonly adapter?: string;
  readonly logits: readonly number[];
  readonly embedding: readonly number[];
}

/** Holds a result against the golden one, and prints and counts where it was made. */
export function check(found: Scored, backend: string, where: string, { task }: TestContext): void {
  expect(found.backend).toBe(backend);
  for (const [i, logit] of example.logits.entries()) expect(Math.abs(found.logits[i] - logit)).toBeLessThan(LOGIT);
  const length = Math.hypot(...reference);
  const error = Math.hypot(...reference.map((value, i) => value / length - found.embedding[i]));
  expect(error).toBeLessThan(ERROR[found.backend]);
  console.log(
    `${where}: ${found.backend}${found.adapter ? ` on ${found.adapter}` : ""}, relative error ${error.toExponential(1)}`,
  );
  if (found.adapter) task.meta.siglip!.adapter = `${where} ${found.adapter}`;
}
