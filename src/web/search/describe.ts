import { duration } from "../../support/units.ts";
import type { Library } from "./library.ts";

/** How far things are, in a sentence. */
export function describe({ indexer, size, pictures, unread, full, ready }: Library): string {
  if (indexer?.problem) return indexer.problem;
  if (indexer?.running) {
    const left = indexer.paused ? ", paused" : indexer.left === undefined ? "" : `, ${duration(indexer.left)} left`;
    return `${indexer.done} of ${indexer.total} pictures embedded${left}.`;
  }
  if (full) return full;
  if (pictures.size === 0) return "No pictures yet: choose a folder, or drop one here.";
  if (!ready) return `${pictures.size} pictures are kept here; they can be searched once the model is loaded.`;
  const missing = pictures.size - size - unread.size;
  const kept = `${size} ${size === 1 ? "picture" : "pictures"} to search`;
  return missing > 0 ? `${kept}; ${missing} more once their folder is chosen again for this model.` : `${kept}.`;
}
