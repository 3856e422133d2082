import { inflate } from "./inflate.ts";

/** A PNG's text chunk: `tEXt`, `zTXt` or `iTXt`, and what follows its keyword. */
export type Text = readonly [type: string, rest: Uint8Array];

/** Most bytes that a compressed text may hold: PIL's limit. */
const TEXT_LIMIT = 1 << 20;

/** What follows a text chunk's keyword; characters past ASCII do not matter here. Empty for what is malformed. */
export async function readText([type, rest]: Text): Promise<string> {
  let compressed = type === "zTXt";
  if (compressed) rest = rest.subarray(1);
  else if (type === "iTXt") {
    compressed = rest[0] !== 0;
    if (rest.length < 2 || (compressed && rest[1] !== 0)) return "";
    rest = rest.subarray(2);
    // A language and the keyword in that language.
    for (let i = 0; i < 2; i++) rest = rest.subarray(ending(rest) + 1);
  }
  if (!compressed) return latin1(rest);
  const { data, broken } = await inflate(rest, TEXT_LIMIT);
  return broken ? "" : latin1(data);
}

/** Where a text ends: at a zero, or with the bytes. */
function ending(bytes: Uint8Array): number {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes.length : end;
}

function latin1(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}

/** The bytes of a raw profile: a line feed, its name, its length, then lines of hexadecimal digits. */
export async function readProfile(text: Text): Promise<Uint8Array> {
  const profile = await readText(text);
  const digits = profile.split("\n").slice(3).join("").replace(/\s/g, "");
  return Uint8Array.from({ length: digits.length >> 1 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
