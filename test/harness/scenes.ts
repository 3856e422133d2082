import { readFileSync } from "node:fs";
import type { Pixels } from "../../src/image/pixels.ts";
import { resize } from "../../src/image/resize.ts";
import { nodePlatform } from "../../src/node/platform.ts";

/** An emoji cut out of a picture of the demo's: its name, and where it covers its background. */
interface Emoji {
  readonly name: string;
  readonly pixels: Pixels;
  /** Of each pixel. */
  readonly covers: readonly boolean[];
}

/** A picture of several emoji that do not touch, and what is where: left, top, width and height in pixels. */
export interface Scene {
  readonly pixels: Pixels;
  readonly things: readonly { readonly name: string; readonly box: readonly [number, number, number, number] }[];
}

const EVAL = new URL("../../weights/demo/eval/", import.meta.url);
const ONE =
  /^(?:(?:a photo|an emoji|an image|this is a photo|a drawing|a picture|a close up) of |there is )?(?:a single |an? |one |1 )?([a-z ]+)$/;
const SEVERAL =
  / (and|left|right|above|below|under|over|underneath|top|with|two|three|several|couple|pair) |^(two|three|several|a pair)/;

/** Side of a scene in pixels: the demo model's own. */
const SIDE = 112;

/** Every emoji that stands alone in a picture of the demo's retrieval set and can be told from its background. */
export async function cutEmoji(): Promise<Emoji[]> {
  const lines = readFileSync(new URL("captions.jsonl", EVAL), "utf8").trim().split("\n");
  const found: Emoji[] = [];
  for (const { file, caption } of lines.map((line) => JSON.parse(line) as { file: string; caption: string })) {
    const name = SEVERAL.test(` ${caption} `) ? undefined : ONE.exec(caption)?.[1];
    const cut = name && cutOut(await nodePlatform.decode(new URL(file, EVAL)));
    if (cut) found.push({ name, ...cut });
  }
  return found;
}

/** A scene of `count` of these emoji on a plain ground, of sizes and at places that `random` (0 to 1) gives. */
export function composeScene(emoji: readonly Emoji[], count: number, random: () => number): Scene {
  const ground = [0, 1, 2].map(() => Math.floor(random() * 256));
  const data = Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, i) => ground[i % 3]);
  const things: { name: string; box: [number, number, number, number] }[] = [];
  while (things.length < count) {
    const one = emoji[Math.floor(random() * emoji.length)];
    const scale = (30 + random() * 18) / Math.max(one.pixels.width, one.pixels.height);
    const [width, height] = [one.pixels.width, one.pixels.height].map((side) => Math.max(8, Math.round(side * scale)));
    const [left, top] = [Math.floor(random() * (SIDE - width)), Math.floor(random() * (SIDE - height))];
    const touches = ({ box: [x, y, w, h] }: (typeof things)[number]) =>
      left < x + w + 2 && x < left + width + 2 && top < y + h + 2 && y < top + height + 2;
    if (things.some((other) => other.name === one.name || touches(other))) continue;
    const { data: small } = resize(one.pixels, width, height, "bilinear");
    for (let i = 0; i < width * height; i++) {
      const [x, y] = [i % width, Math.floor(i / width)];
      const from = Math.floor((y * one.pixels.height) / height) * one.pixels.width;
      if (!one.covers[from + Math.floor((x * one.pixels.width) / width)]) continue;
      data.set(small.subarray(3 * i, 3 * i + 3), 3 * ((top + y) * SIDE + left + x));
    }
    things.push({ name: one.name, box: [left, top, width, height] });
  }
  return { pixels: { width: SIDE, height: SIDE, data }, things };
}

/** What differs from the mean of a picture's border; undefined where that is next to nothing, or nearly all. */
function cutOut({ width, height, data }: Pixels): Omit<Emoji, "name"> | undefined {
  const border = [0, 0, 0];
  let count = 0;
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    if (x > 0 && x < width - 1 && y > 0 && y < height - 1) continue;
    for (let c = 0; c < 3; c++) border[c] += data[3 * i + c];
    count++;
  }
  const differs = (i: number) => {
    let sum = 0;
    for (let c = 0; c < 3; c++) sum += Math.abs(data[3 * i + c] - border[c] / count);
    return sum > 90;
  };
  const columns = Array.from({ length: width }, () => 0);
  const rows = Array.from({ length: height }, () => 0);
  for (let i = 0; i < width * height; i++) {
    if (!differs(i)) continue;
    columns[i % width]++;
    rows[Math.floor(i / width)]++;
  }
  const [left, right] = [columns.findIndex((n) => n > 2), columns.findLastIndex((n) => n > 2)];
  const [top, bottom] = [rows.findIndex((n) => n > 2), rows.findLastIndex((n) => n > 2)];
  const [w, h] = [right - left + 1, bottom - top + 1];
  if (left < 0 || w < 15 || h < 15 || w > 0.9 * width || h > 0.9 * height) return undefined;
  const inside = Array.from({ length: w * h }, (_, i) => (top + Math.floor(i / w)) * width + left + (i % w));
  const pixels = Uint8Array.from({ length: 3 * w * h }, (_, i) => data[3 * inside[Math.floor(i / 3)] + (i % 3)]);
  return { pixels: { width: w, height: h, data: pixels }, covers: inside.map(differs) };
}
