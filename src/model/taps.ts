import { joinFloats } from "../support/numbers.ts";
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
  const batch = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  return { data: joinFloats(parts.map(({ data }) => data)), shape: [batch, ...parts[0].shape.slice(1)] };
}
