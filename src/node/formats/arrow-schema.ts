/**
 * What a Parquet file says of its columns to readers that know Apache Arrow, under the key `ARROW:schema`: Parquet
 * itself has only lists of any length.
 *
 * It is Arrow's IPC message of a schema, in base64: -1 and the bytes of what follows, each an int32; then a flatbuffer
 * of the table Message, with zeros to a multiple of 8. All is little-endian. The tables, slot by slot (a union has two:
 * which member it is, and the member), and the numbers of the members are those of
 * https://github.com/apache/arrow/blob/main/format/Message.fbs and of Schema.fbs beside it.
 *
 * The flatbuffer (https://flatbuffers.dev/internals/) begins with where its first table is. Before a table lies its
 * vtable, uint16s: bytes of the vtable, bytes of the table, and of each slot where in the table it is, or 0 where it is
 * absent. The table is an int32, how far back the vtable is, and the slots. A vector is an int32 count and elements; a
 * string is one of bytes, with a zero behind it. In place of a table, vector or string there is how far on it lies.
 * Every slot is an int32 here: of a smaller type a reader takes the first bytes, which hold the value.
 */

type Slot = number | string | Table | readonly Table[] | undefined;

interface Table {
  readonly slots: readonly Slot[];
}

/** Which member of the union Type it is, its table, and the fields within. */
export interface ArrowType {
  readonly member: number;
  readonly slots: readonly number[];
  readonly children: readonly ArrowField[];
}

/** A column, or what a list is of. None has nulls. */
export interface ArrowField {
  readonly name: string;
  readonly type: ArrowType;
}

export const UTF8: ArrowType = { member: 5, slots: [], children: [] };
export const INT8: ArrowType = { member: 2, slots: [8, 1], children: [] };
export const FLOAT16: ArrowType = { member: 3, slots: [0], children: [] };
export const FLOAT32: ArrowType = { member: 3, slots: [1], children: [] };

/** A list of `size` such elements in every row. */
export function fixedSizeList(element: ArrowField, size: number): ArrowType {
  return { member: 16, slots: [size], children: [element] };
}

/** The value of the key `ARROW:schema`. */
export function arrowSchema(columns: readonly ArrowField[]): string {
  const littleEndian = 0;
  const schema: Table = { slots: [littleEndian, columns.map(fieldOf)] };
  const [version5, headerIsSchema] = [4, 1];
  const bytes = int32(0);
  bytes.splice(0, 4, ...int32(put(bytes, { slots: [version5, headerIsSchema, schema] })));
  pad(bytes, 8);
  return Buffer.from([...int32(-1), ...int32(bytes.length), ...bytes]).toString("base64");
}

function fieldOf({ name, type: { member, slots, children } }: ArrowField): Table {
  const nullable = 0;
  const dictionary = undefined;
  return { slots: [name, nullable, member, { slots }, dictionary, children.map(fieldOf)] };
}

/** Puts a value behind what is there; gives where it begins, for who refers to it. */
function put(bytes: number[], value: string | Table | readonly Table[]): number {
  const start = bytes.length;
  if (typeof value === "string") {
    const text = Buffer.from(value);
    bytes.push(...int32(text.length), ...text, 0);
    pad(bytes, 4);
    return start;
  }
  if (!("slots" in value)) {
    bytes.push(...int32(value.length));
    putSlots(bytes, value);
    return start;
  }
  const present = value.slots.filter((slot) => slot !== undefined);
  const places = value.slots.map((slot, i) => {
    const before = value.slots.slice(0, i).filter((one) => one !== undefined).length;
    return slot === undefined ? 0 : 4 + 4 * before;
  });
  const vtable = [4 + 2 * places.length, 4 + 4 * present.length, ...places];
  bytes.push(...vtable.flatMap((number) => [number & 255, number >> 8]));
  pad(bytes, 4);
  const table = bytes.length;
  bytes.push(...int32(table - start));
  putSlots(bytes, present);
  return table;
}

/** Numbers, and how far behind its own place each of the others lies. */
function putSlots(bytes: number[], slots: readonly Exclude<Slot, undefined>[]): void {
  const start = bytes.length;
  for (const slot of slots) bytes.push(...int32(typeof slot === "number" ? slot : 0));
  for (const [i, slot] of slots.entries()) {
    if (typeof slot === "number") continue;
    const place = start + 4 * i;
    bytes.splice(place, 4, ...int32(put(bytes, slot) - place));
  }
}

function int32(value: number): number[] {
  return [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];
}

function pad(bytes: number[], multiple: number): void {
  while (bytes.length % multiple !== 0) bytes.push(0);
}
