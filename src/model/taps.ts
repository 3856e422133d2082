import type { ForwardOptions, Values } from "./towers.ts";

/** Tells of intermediates, each put together from the parts in which its batch was run. */
export function deliver(
  tapped: readonly (readonly [name: string, part: Values])[],
  tap: NonNullable<ForwardOptions["tap"]>,
): void {
  const parts = new Map<string, Values[]>();
  for (const [name, part] of tapped) parts.set(name, [...(parts.get(name) ?? []), part]);
  for (const [name, own] of parts) tap(name, concatenate(own));
}

function concatenate(parts: readonly Values[]): Values {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let filled = 0;
  let batch = 0;
  for (const part of parts) {
    data.set(part.data, filled);
    filled += part.data.length;
    batch += part.shape[0];
  }
  return { data, shape: [batch, ...parts[0].shape.slice(1)] };
}
