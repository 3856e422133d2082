import { type Kept, nameOf, stampOf } from "./store.ts";

/**
 * Which of the kept pictures that an index named by a longer path are pictures of a folder here: those that end like
 * one of the same size and date. Pairs of the one here and the one elsewhere, each at most once.
 */
export function matchElsewhere(kept: Iterable<Kept>, here: readonly Kept[]): [here: Kept, elsewhere: Kept][] {
  const byStamp = new Map<string, Kept[]>();
  for (const picture of kept) {
    const stamp = stampOf(picture);
    if (picture.folder !== "" || stamp === "") continue;
    const same = byStamp.get(stamp);
    if (same) same.push(picture);
    else byStamp.set(stamp, [picture]);
  }
  return here.flatMap((picture): [Kept, Kept][] => {
    const same = byStamp.get(stampOf(picture)) ?? [];
    const at = same.findIndex(({ path }) => path.endsWith(`/${nameOf(picture)}`));
    return at < 0 ? [] : [[picture, same.splice(at, 1)[0]]];
  });
}
