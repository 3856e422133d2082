import { sha256 } from "./sha256.ts";

/**
 * A record of a journal: bytes in all (u32), bytes of the key (u32), the scale (f64), the beginning of the SHA-256 of all
 * else [16], then the key as UTF-8 and the values. Numbers are little-endian.
 */
const [LENGTH, KEY, SCALE, DIGEST, HEAD] = [0, 4, 8, 16, 32];

/** What stands in a record. */
export interface Record {
  readonly key: string;
  readonly scale: number;
  /** Valid until the next record is read. */
  readonly values: Uint8Array;
}

export function encodeRecord({ key, scale, values }: Record): Uint8Array {
  const name = Buffer.from(key);
  const bytes = Buffer.alloc(HEAD + name.length + values.length);
  bytes.writeUInt32LE(bytes.length, LENGTH);
  bytes.writeUInt32LE(name.length, KEY);
  bytes.writeDoubleLE(scale, SCALE);
  bytes.set(name, HEAD);
  bytes.set(values, HEAD + name.length);
  bytes.write(digest(bytes), DIGEST, "latin1");
  return bytes;
}

/** How many bytes a record says it has; 0 where these are too few to say or it cannot be. */
export function recordLength(bytes: Uint8Array): number {
  if (bytes.length < HEAD) return 0;
  const length = view(bytes).getUint32(LENGTH, true);
  return length < HEAD ? 0 : length;
}

/** The record that these bytes are, undefined where their digest does not prove it. */
export function decodeRecord(bytes: Uint8Array): Record | undefined {
  const numbers = view(bytes);
  const end = HEAD + numbers.getUint32(KEY, true);
  if (end > bytes.length) return undefined;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, end);
  if (digest(bytes) !== text.toString("latin1", DIGEST, HEAD)) return undefined;
  const key = text.toString("utf8", HEAD, end);
  return { key, scale: numbers.getFloat64(SCALE, true), values: bytes.subarray(end) };
}

/** Room for what a digest is of; records are of about one length. */
let room = new Uint8Array();

function digest(record: Uint8Array): string {
  const length = record.length - (HEAD - DIGEST);
  if (room.length < length) room = new Uint8Array(2 * length);
  room.set(record.subarray(0, DIGEST));
  room.set(record.subarray(HEAD), DIGEST);
  return sha256(room.subarray(0, length)).slice(0, HEAD - DIGEST);
}

function view({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
