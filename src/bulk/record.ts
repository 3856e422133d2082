import { createHash } from "node:crypto";

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
  bytes.set(digest(bytes), DIGEST);
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
  if (end > bytes.length || Buffer.compare(digest(bytes), bytes.subarray(DIGEST, HEAD)) !== 0) return undefined;
  const key = Buffer.from(bytes.buffer, bytes.byteOffset + HEAD, end - HEAD).toString();
  return { key, scale: numbers.getFloat64(SCALE, true), values: bytes.subarray(end) };
}

function digest(record: Uint8Array): Uint8Array {
  const hash = createHash("sha256").update(record.subarray(0, DIGEST)).update(record.subarray(HEAD));
  return hash.digest().subarray(0, HEAD - DIGEST);
}

function view({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
