import type { NodeImage } from "../node/platform.ts";
import type { Siglip } from "../siglip/siglip.ts";
import { SiglipError } from "../support/error.ts";
import { immediate } from "../support/immediate.ts";

/** What one item may do to a whole batch: a picture too large for what is left of the memory, values that overflow. */
const CONTAGIOUS: readonly string[] = ["out-of-memory", "bad-checkpoint"];

/**
 * Embeds items as one batch, again on a new device where that was lost: for each its embedding [dim] or what is wrong with
 * it. Where the batch fails as one bad item would make it, each is tried by itself, so that it costs the others nothing.
 */
export async function embedBatch(
  model: Siglip<NodeImage>,
  kind: "image" | "text",
  items: readonly (Uint8Array | string)[],
  signal: AbortSignal,
): Promise<(Float32Array | SiglipError)[]> {
  const run = async (part: readonly (Uint8Array | string)[]) => {
    const options = { batch: part.length, signal };
    const batches =
      kind === "text"
        ? model.embedStream(part as readonly string[], { kind, ...options })
        : model.embedStream(part as readonly Uint8Array[], options);
    const found: (Float32Array | SiglipError)[] = [];
    for await (const { embeddings } of batches) found.push(...embeddings);
    return found;
  };
  const isContagious = (error: unknown) => error instanceof SiglipError && CONTAGIOUS.includes(error.code);
  // Batches that follow each other at once, each short, would leave connections no turn.
  await new Promise(immediate!);
  try {
    return await run(items);
  } catch (error) {
    if (items.length === 1 && isContagious(error)) return [error as SiglipError];
    if (!isContagious(error)) throw error;
  }
  const results: (Float32Array | SiglipError)[] = [];
  for (const item of items) {
    try {
      results.push(...(await run([item])));
    } catch (error) {
      if (!isContagious(error)) throw error;
      results.push(error as SiglipError);
    }
  }
  return results;
}
