import type { PREFIX } from "./hugging-face.ts";

/** Components that torch's wrappers put before, or among, a model's own names. */
const WRAPPERS = new Set(["module", "_orig_mod"]);

/** What a name of each tower ends in, once in a checkpoint: before it stands what all names of the tower begin with. */
const FIRST = { image: "embeddings.patch_embedding.weight", text: "embeddings.token_embedding.weight" } as const;

/** What both towers share, or stands beside them. Of several, as a moving average has them too, the towers' own counts. */
const SHARED = /(?:^|\.)(logit_scale|logit_bias|classifier\.(?:weight|bias))$/;

/**
 * How a checkpoint's names translate to those of Hugging Face's classes, whatever stands before them: `model.`,
 * `siglip.`, `module.`, `_orig_mod.`, several of these, or, in the file of a tower alone, nothing at all. Names that no
 * tower has stay.
 */
export function canonicalNames(names: Iterable<string>, prefixes: typeof PREFIX): (name: string) => string {
  const cleaned = [...names].map(unwrapped);
  const starts = (["text", "image"] as const)
    .map((tower) => {
      const first = cleaned.find((name) => `.${name}`.endsWith(`.${FIRST[tower]}`));
      return { prefix: prefixes[tower], found: first?.slice(0, -FIRST[tower].length) };
    })
    .filter(({ found }) => found !== undefined)
    // What begins with nothing takes all that is left.
    .sort((a, b) => b.found!.length - a.found!.length);
  const shared = new Map<string, string>();
  for (const name of cleaned) {
    const [, last] = SHARED.exec(name) ?? [];
    const beside = starts.some(({ found }) => last && found!.startsWith(name.slice(0, -last.length)));
    if (last && (beside || !shared.has(last))) shared.set(last, name);
  }
  return (name) => {
    const clean = unwrapped(name);
    const [, last] = SHARED.exec(clean) ?? [];
    if (last && shared.get(last) === clean) return last;
    const tower = starts.find(({ found }) => clean.startsWith(found!));
    return tower ? tower.prefix + clean.slice(tower.found!.length) : name;
  };
}

function unwrapped(name: string): string {
  return name
    .split(".")
    .filter((part) => !WRAPPERS.has(part))
    .join(".");
}
