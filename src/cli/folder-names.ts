/** Names that Windows keeps for devices, with any ending. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;

/** Bytes of a name, with room for a number; file systems take 255. */
const MOST = 200;

/**
 * A stranger's text as the name of a file or folder on any system: one name, never a path, never hidden. What no name
 * may hold is replaced; of a long one the end is cut, but for the ending.
 */
export function fileName(text: string, otherwise: string): string {
  const name = text
    .normalize("NFC")
    .replace(/[\p{Cc}\p{Cs}\p{Cf}\u2028\u2029<>:"/\\|?*]/gu, "_")
    .replace(/^[. ]+|[. ]+$/g, "");
  if (name === "") return otherwise;
  const [stem, ending] = splitEnding(DEVICE.test(name) ? `_${name}` : name);
  let kept = "";
  for (const character of stem) {
    if (Buffer.byteLength(kept + character) > MOST) break;
    kept += character;
  }
  return `${kept.replace(/[. ]+$/, "")}${ending}`;
}

/** A name with a number behind it, from the second on: `a.jpg`, `a (2).jpg`. */
export function numbered(name: string, number: number): string {
  const [stem, ending] = splitEnding(name);
  return number === 1 ? name : `${stem} (${number})${ending}`;
}

/** The names of folders for labels: all different, where a file system takes upper and lower case for the same, too. */
export function folderNames(labels: readonly string[]): string[] {
  const taken = new Set<string>();
  return labels.map((label, index) => {
    const name = fileName(label, `label ${index + 1}`);
    for (let number = 1; ; number++) {
      const one = number === 1 ? name : `${name} (${number})`;
      const key = one.toLowerCase();
      if (taken.has(key)) continue;
      taken.add(key);
      return one;
    }
  });
}

/** A short ending with its point, and what stands before it. */
function splitEnding(name: string): [stem: string, ending: string] {
  const [, stem, ending] = /^(.+?)(\.[\p{L}\p{N}]{1,8})?$/su.exec(name)!;
  return [stem, ending ?? ""];
}
