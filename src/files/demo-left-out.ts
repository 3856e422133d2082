import { mismatch } from "../support/error.ts";
import type { ModelFiles } from "./model-files.ts";

/**
 * In place of `demoFiles` in `siglip/static`: a script that is read at every start is not to hold the demo model's 7
 * MB.
 */
export async function demoFiles(): Promise<ModelFiles> {
  const advice = "name a model of the Hub, a URL or files";
  throw mismatch("unsupported", "the demo model", "siglip", "siglip/static, which leaves it out", advice);
}
