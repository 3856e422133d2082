// Pictures that the fixtures lack, and files that are none.
import { readFileSync } from "node:fs";
import { deflateSync } from "node:zlib";
import type { Pixels } from "../../src/image/pixels.ts";
import { chunk, exif, IMAGES, png, rgbPng, synthetic, withSegment } from "../harness/pictures.ts";

export const fixture = (file: string): Buffer => readFileSync(`${IMAGES}/${file}`);

/** What the fixtures lack: turns of every kind, turns of transparent pictures, and one wider than a texture, of several tiles, and one that moves. */
export function crafted(): [name: string, bytes: Uint8Array][] {
  const upright = synthetic(40, 30);
  const alpha = fixture("alpha-RGBA.png");
  const jpeg = fixture("q92-444.jpg");
  const [width, height] = [8300, 130];
  const rows = Buffer.alloc(height * (1 + 4 * width));
  for (let i = 0; i < rows.length; i++) rows[i] = i % (1 + 4 * width) === 0 ? 0 : Math.imul(i, 2654435761) >>> 24;
  return [
    ["wider-than-a-texture.png", png({ width, height, colourType: 6, idat: [deflateSync(rows)] })],
    ["turned-behind-the-pixels.png", rgbPng(upright, { after: [chunk("eXIf", exif(6, false))] })],
    ["transparent-and-turned.png", Buffer.concat([alpha.subarray(0, 33), chunk("eXIf", exif(8)), alpha.subarray(33)])],
    ["rec2020-pq.png", rgbPng(upright, { before: [chunk("cICP", Buffer.from([9, 16, 0, 1]))] })],
    ["gamma-1.png", rgbPng(upright, { before: [chunk("gAMA", Buffer.from([0, 1, 0x86, 0xa0]))] })],
    ["animated.png", animated(upright)],
    ...[2, 4, 7].map((turn): [string, Uint8Array] => [
      `turned-${turn}.jpg`,
      withSegment(jpeg, 0xe1, Buffer.concat([Buffer.from("Exif\0\0", "latin1"), exif(turn)])),
    ]),
  ];
}

/** A PNG with a second, black frame, which nobody asked for. */
function animated(first: Pixels): Buffer {
  const { width, height } = first;
  const frame = (turn: number) => {
    const body = Buffer.alloc(26);
    for (const [i, value] of [turn, width, height].entries()) body.writeUInt32BE(value, 4 * i);
    return chunk("fcTL", body);
  };
  const second = Buffer.concat([Buffer.from([0, 0, 0, 2]), deflateSync(Buffer.alloc(height * (1 + 3 * width)))]);
  const frames = chunk("acTL", Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]));
  return rgbPng(first, { before: [frames, frame(0)], after: [frame(1), chunk("fdAT", second)] });
}

/** Files that are no whole pictures, and what is said of them. */
export function damaged(): Record<string, [bytes: Uint8Array, why: RegExp]> {
  const jpeg = fixture("q85-420.jpg");
  const photo = fixture("photo-640x480.png");
  const huge = Buffer.from(jpeg);
  const frame = huge.indexOf(Buffer.from([0xff, 0xc0]));
  huge.writeUInt16BE(60_000, frame + 5);
  huge.writeUInt16BE(60_000, frame + 7);
  return {
    "a truncated JPEG": [jpeg.subarray(0, jpeg.length >> 1), /the file ends at byte/],
    "a JPEG without its last byte": [jpeg.subarray(0, -1), /the file ends at byte/],
    "a truncated PNG": [photo.subarray(0, photo.length >> 1), /its data ends after/],
    "a PNG without its last pixels": [photo.subarray(0, -30), /its data ends after/],
    "a PNG of 60,000 x 60,000": [png({ width: 60_000, height: 60_000, idat: [] }), /at most 178956970 pixels/],
    "a JPEG of 60,000 x 60,000": [huge, /at most 178956970 pixels/],
    "more pixels than the bytes can hold": [
      png({ width: 10_000, height: 10_000, idat: [Buffer.alloc(9)] }),
      /compressed ones cannot hold them/,
    ],
    "damaged pixels": [Buffer.from(photo).fill(0x55, 1000, 1100), /its data breaks after/],
    "a text": [Buffer.from("hello, world"), /that it refuses/],
    "an empty file": [new Uint8Array(0), /found 0 bytes that it refuses/],
  };
}
