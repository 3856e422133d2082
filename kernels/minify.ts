// Shaders in fewer characters, for the browser's bundle.

/** The entry point, which is named from outside. */
const ENTRY = "main";

/** Components of a vector, for which a variable of the same letters must not be taken. */
const SWIZZLE = /^[xyzwrgba]{1,4}$/;

const TOKEN = /[A-Za-z_]\w*|0x[\da-fA-F.]+(?:p[+-]?\d+)?\w*|\d[\d.]*(?:e[+-]?\d+)?\w*|\s+|./g;
const WORD = /^\w/;
const OPERATOR = /^[-+*/&|<>=]$/;

/** A shader without comments and indentation. */
export function strip(source: string): string {
  const lines = source.split("\n").map((line) => line.replace(/\/\/.*/, "").trim());
  return lines.filter(Boolean).join("\n");
}

/** Shaders by name, with short names for what they declare and no space that they can do without. */
export function minify(sources: Readonly<Record<string, string>>): Record<string, string> {
  // vec4f is WGSL's own name for vec4<f32>. Halves keep theirs, by which `specialise` knows that they are there.
  const brief = (text: string) => text.replace(/\bvec([234])<([fu])32>/g, "vec$1$2");
  const texts = Object.entries(sources).map(([name, source]) => [name, brief(strip(source))] as const);
  const names = shortNames(texts.map(([, text]) => text));
  return Object.fromEntries(texts.map(([name, text]) => [name, tighten(text, names)]));
}

/**
 * A short name for everything that is declared, the same in all shaders, so that what they share stays the same. What
 * `specialise` may replace keeps its own: constants and aliases whose value is a single word or number.
 */
function shortNames(texts: readonly string[]): ReadonlyMap<string, string> {
  const declared = new Set<string>();
  const kept = new Set([ENTRY]);
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [, name] of text.matchAll(/\b(?:let|var(?:<[^>]*>)?|const|alias|fn|struct) (\w+)/g)) declared.add(name);
    for (const [, name] of text.matchAll(/\b(\w+):/g)) declared.add(name); // parameters and members
    for (const [, name] of text.matchAll(/^(?:const|alias) (\w+) = -?[\w.]+;/gm)) kept.add(name);
    for (const [token] of text.matchAll(TOKEN)) counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  const long = [...declared].filter((name) => !kept.has(name) && !SWIZZLE.test(name));
  long.sort((a, b) => counts.get(b)! - counts.get(a)! || (a < b ? -1 : 1));
  const letters = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  const short = ["", ..."0123456789"].flatMap((digit) => letters.map((letter) => letter + digit));
  const free = short.filter((name) => !counts.has(name) || long.includes(name));
  if (free.length < long.length) throw new Error(`Wanted ${long.length} short names, found ${free.length}; make more.`);
  return new Map(long.map((name, index) => [name, free[index]]));
}

/** A text with names replaced, and spaces only where two words or two operators would run together. */
function tighten(text: string, names: ReadonlyMap<string, string>): string {
  let out = "";
  let last = "";
  let spaced = false;
  for (const [token] of text.matchAll(TOKEN)) {
    if (/^\s/.test(token)) {
      spaced = true;
      continue;
    }
    if (/^[)}\]]$/.test(token) && last === ",") out = out.slice(0, -1);
    // `specialise` looks for constants and aliases at the beginning of a line.
    if (/^(const|alias|enable|diagnostic)$/.test(token)) out += out === "" ? "" : "\n";
    else if (spaced && [WORD, OPERATOR].some((kind) => kind.test(last) && kind.test(token))) out += " ";
    const foreign = last === "@" || (last === "." && SWIZZLE.test(token));
    out += foreign ? token : (names.get(token) ?? token);
    last = token;
    spaced = false;
  }
  return out;
}
