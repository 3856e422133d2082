import { mismatch, type SiglipError } from "../support/error.ts";

/**
 * The error for a tensor that a checkpoint lacks. It names the one that shares most of its name's beginning and end.
 */
export function missingTensor(where: string, name: string, names: readonly string[], advice: string): SiglipError {
  const likeness = (other: string) => {
    let [head, tail] = [0, 0];
    while (name[head] && name[head] === other[head]) head++;
    while (tail < name.length && name.at(-1 - tail) === other.at(-1 - tail)) tail++;
    return head + tail;
  };
  const nearest = names.reduce((best, other) => (likeness(other) > likeness(best) ? other : best), "");
  const found = `${names.length} tensors${nearest && `, the nearest ${JSON.stringify(nearest.slice(0, 100))}`}`;
  return mismatch("bad-checkpoint", where, `the tensor ${name}`, found, advice);
}
