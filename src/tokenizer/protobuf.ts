import type { SiglipError } from "../support/error.ts";
import { invalid } from "./invalid.ts";

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const float = new DataView(new ArrayBuffer(4));

/**
 * Reads one protobuf message (protobuf.dev, "Encoding") in place, copying nothing.
 *
 * `next()` moves to a field, then exactly one of `varint`, `float`, `message` or `skip` consumes it. A message that
 * breaks off, a field of another wire type than asked for and the long retired groups are SiglipErrors.
 */
export class ProtoReader {
  readonly bytes: Uint8Array;
  /** Where the message ends in `bytes`. */
  readonly end: number;
  /** The number of the field `next()` moved to. */
  field = 0;
  private at: number;
  private wire = 0;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** Where in `bytes` the next read begins; for a fresh `message()` the first byte of its content. */
  get position(): number {
    return this.at;
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.at === this.end) return false;
    const tag = this.readVarint();
    this.field = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.field === 0 || this.field > 0x1fffffff) throw corrupt("a field number out of range", this.at);
    return true;
  }

  /**
   * An integer, bool or enum. Exact up to 2^53; more than that, or a negative number, comes back as some number above
   * 2^53.
   */
  varint(): number {
    this.expect(VARINT);
    return this.readVarint();
  }

  /** A float32. */
  float(): number {
    this.expect(FIXED32);
    const at = this.take(4);
    for (let i = 0; i < 4; i++) float.setUint8(i, this.bytes[at + i]);
    return float.getFloat32(0, true);
  }

  /** A nested message, string or bytes: a reader whose `position` and `end` bound the content. */
  message(): ProtoReader {
    this.expect(LENGTH_DELIMITED);
    const length = this.readVarint();
    const start = this.take(length);
    return new ProtoReader(this.bytes, start, start + length);
  }

  /** Passes over a field nobody asked about. */
  skip(): void {
    if (this.wire === VARINT) this.readVarint();
    else if (this.wire === FIXED64) this.take(8);
    else if (this.wire === FIXED32) this.take(4);
    else this.message();
  }

  private expect(wire: number): void {
    if (this.wire !== wire)
      throw corrupt(`field ${this.field} with wire type ${this.wire} in place of ${wire}`, this.at);
  }

  private take(length: number): number {
    const start = this.at;
    if (length > this.end - start) throw corrupt("a field that runs past its end", start);
    this.at = start + length;
    return start;
  }

  private readVarint(): number {
    let value = 0;
    for (let i = 0, scale = 1; i < 10; i++, scale *= 128) {
      const byte = this.bytes[this.take(1)];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw corrupt("an integer of more than 10 bytes", this.at);
  }
}

function corrupt(found: string, at: number): SiglipError {
  return invalid("a protobuf", `${found} at byte ${at}`);
}
