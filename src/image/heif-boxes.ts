import { damaged } from "./damaged.ts";

/** What the boxes of an AVIF or HEIC say of its pictures. */
export interface HeifBoxes {
  /** Sides of every picture in it, tiles and thumbnails among them. */
  readonly sizes: readonly { readonly width: number; readonly height: number }[];
  /** How the main one is to be turned, 1 to 8 as in EXIF. */
  readonly orientation: number;
}

/** A box's properties stand in these, one in the other [ISO/IEC 23008-12]. */
const NESTED = ["meta", "iprp", "ipco"];

/** Boxes that are looked into at most. */
const MOST_BOXES = 10_000;

/**
 * Reads the boxes of an AVIF or HEIC that say how large its pictures are, before a decoder is given it, and how the main one is turned.
 * Throws a SiglipError where they make no sense.
 */
export function readHeifBoxes(bytes: Uint8Array, kind: string, name: string): HeifBoxes {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const properties: { readonly type: string; readonly at: number; readonly end: number }[] = [];
  let main = 0;
  let links: { readonly at: number; readonly end: number } | undefined;
  let seen = 0;
  const walk = (from: number, to: number, inside: string): void => {
    for (let at = from; at + 8 <= to; ) {
      const short = view.getUint32(at);
      const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      const long = short === 1 && at + 16 <= to;
      const size = long ? Number(view.getBigUint64(at + 8)) : short === 0 ? to - at : short;
      const body = at + (long ? 16 : 8);
      const end = at + size;
      if (size < body - at || ++seen > MOST_BOXES) {
        throw damaged(kind, name, "boxes one after another", `one of ${size} bytes at byte ${at}`);
      }
      if (inside === "ipco") properties.push({ type, at: body, end: Math.min(end, to) });
      else if (type === "pitm" && body + 6 <= to)
        main = bytes[body] === 0 ? view.getUint16(body + 4) : view.getUint32(body + 4);
      else if (type === "ipma") links = { at: body, end: Math.min(end, to) };
      else if (NESTED.includes(type)) walk(body + (type === "meta" ? 4 : 0), Math.min(end, to), type);
      at = end;
    }
  };
  walk(0, bytes.length, "");
  const sizes = properties
    .filter(({ type, at, end }) => type === "ispe" && at + 12 <= end)
    .map(({ at }) => ({ width: view.getUint32(at + 4), height: view.getUint32(at + 8) }));
  if (sizes.length === 0) throw damaged(kind, name, "a picture's size", "none");
  const own = links ? propertiesOf(main, view, links.at, links.end).map((index) => properties[index - 1]) : [];
  const turned = own.find((one) => one?.type === "irot");
  const mirrored = own.find((one) => one?.type === "imir");
  return { sizes, orientation: orientationBy(turned && bytes[turned.at] & 3, mirrored && bytes[mirrored.at] & 1) };
}

/** The numbers of an item's properties, from 1, by the box that links them. */
function propertiesOf(item: number, view: DataView, from: number, end: number): number[] {
  if (from + 8 > end) return [];
  const version = view.getUint8(from);
  const wide = (view.getUint8(from + 3) & 1) > 0;
  const count = view.getUint32(from + 4);
  let at = from + 8;
  for (let entry = 0; entry < count && at + (version < 1 ? 3 : 5) <= end; entry++) {
    const id = version < 1 ? view.getUint16(at) : view.getUint32(at);
    at += version < 1 ? 2 : 4;
    const links = view.getUint8(at++);
    const size = wide ? 2 : 1;
    if (id === item && at + size * links <= end) {
      return Array.from({ length: links }, (_, i) =>
        wide ? view.getUint16(at + 2 * i) & 0x7fff : view.getUint8(at + i) & 0x7f,
      );
    }
    at += size * links;
  }
  return [];
}

/** A turn against the clock by quarters, then a mirror (0 top to bottom, 1 left to right), as EXIF numbers them. */
function orientationBy(quarters = 0, mirror?: number): number {
  if (mirror === undefined) return [1, 8, 3, 6][quarters];
  return [
    [4, 5, 2, 7],
    [2, 7, 4, 5],
  ][mirror][quarters];
}
