import { damaged } from "./damaged.ts";

/** Bytes of a value of each type that a tag read here may have: BYTE, SHORT and LONG; UNDEFINED is bytes as well. */
const BYTES: Readonly<Record<number, number>> = { 1: 1, 3: 2, 4: 4, 7: 1 };

/** The first directory of a TIFF: the numbers of each tag, and bytes in the file's order. */
export class Directory {
  readonly little: boolean;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly name: string;
  private readonly entries = new Map<number, { readonly type: number; readonly count: number; readonly at: number }>();

  /** Throws a SiglipError where the file ends within it. */
  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes;
    this.name = name;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.little = bytes[0] === 0x49;
    const at = bytes.length < 8 ? bytes.length : this.view.getUint32(4, this.little);
    const count = at + 2 <= bytes.length ? this.view.getUint16(at, this.little) : 0;
    if (count === 0 || at + 2 + 12 * count > bytes.length) {
      throw damaged("TIFF", name, `a directory at byte ${at}`, `that the file ends at byte ${bytes.length}`);
    }
    for (let entry = at + 2; entry < at + 2 + 12 * count; entry += 12) {
      const type = this.view.getUint16(entry + 2, this.little);
      const values = this.view.getUint32(entry + 4, this.little);
      const size = (BYTES[type] ?? 0) * values;
      const place = size > 4 ? this.view.getUint32(entry + 8, this.little) : entry + 8;
      if (size > 0) this.entries.set(this.view.getUint16(entry, this.little), { type, count: values, at: place });
    }
  }

  /** How many values a tag has; 0 where it is missing. */
  count(tag: number): number {
    return this.entries.get(tag)?.count ?? 0;
  }

  /** All values of a tag, at most `most`; none where it is missing. Throws where they reach beyond the file. */
  numbers(tag: number, most: number): number[] {
    const entry = this.entries.get(tag);
    if (!entry) return [];
    const { type, count, at } = entry;
    const size = BYTES[type];
    if (at + size * count > this.bytes.length) {
      throw damaged(
        "TIFF",
        this.name,
        `${count} values of tag ${tag}`,
        `that the file ends at byte ${this.bytes.length}`,
      );
    }
    return Array.from({ length: Math.min(count, most) }, (_, i) =>
      size === 1
        ? this.view.getUint8(at + i)
        : size === 2
          ? this.view.getUint16(at + 2 * i, this.little)
          : this.view.getUint32(at + 4 * i, this.little),
    );
  }

  /** The first value of a tag. */
  number(tag: number, missing: number): number {
    return this.numbers(tag, 1)[0] ?? missing;
  }

  /** A tag's bytes. */
  raw(tag: number): Uint8Array {
    const entry = this.entries.get(tag);
    return entry ? this.bytes.subarray(entry.at, entry.at + entry.count * BYTES[entry.type]) : new Uint8Array();
  }
}
