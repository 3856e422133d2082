import { crc32, deflateSync, inflateSync } from "node:zlib";
import { edge, join, mutateBytes, type Random } from "./random.ts";

/** A protobuf field: its tag and either a number's bytes or a length-delimited body, which may hold fields itself. */
interface Field {
  tag: Uint8Array;
  body: Uint8Array;
  delimited: boolean;
}

/** A protobuf with fields changed, dropped, doubled, moved, put inside one another, and lengths that are not theirs. */
export function mutateProtobuf(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const fields = fieldsOf(bytes);
  if (fields.length === 0 || random.chance(0.15)) return mutateBytes(random, bytes, others);
  for (let changes = random.few(); changes > 0; changes--) {
    const at = random.chance(0.3) ? Math.max(0, fields.length - 1 - random.below(3)) : random.below(fields.length);
    const field = fields[at];
    if (field === undefined) break;
    const inside = field.delimited ? fieldsOf(field.body) : [];
    switch (random.below(8)) {
      case 0:
        fields.splice(at, 1);
        break;
      case 1:
        fields.splice(random.below(fields.length), 0, field);
        break;
      case 2:
        field.tag = varint(edge(random, 8));
        break;
      case 3:
        field.body = field.delimited
          ? mutateBytes(random, field.body, [field.body, ...others])
          : varint(edge(random, 8));
        break;
      case 4: {
        let nested = field.body;
        for (let depth = random.below(40); depth > 0; depth--)
          nested = join(varint(8 * (1 + random.below(4)) + 2), varint(nested.length), nested);
        field.body = nested;
        break;
      }
      default:
        // Mostly the message in the field: a piece, the trainer's or the normaliser's settings.
        if (inside.length > 0) field.body = mutateProtobuf(random, field.body, [field.body]);
        else if (field.body.length > 0) field.body = mutateBytes(random, field.body, [field.body]);
    }
  }
  const wrong = random.chance(0.1) ? random.below(fields.length) : -1;
  return join(
    ...fields.flatMap(({ tag, body, delimited }, i) =>
      delimited ? [tag, varint(i === wrong ? edge(random, body.length) : body.length), body] : [tag, body],
    ),
  );
}

/** The fields of a message; none where the bytes are not one. */
function fieldsOf(bytes: Uint8Array): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at;
    const [tag, afterTag] = readVarint(bytes, at);
    at = afterTag;
    const wire = tag % 8;
    const delimited = wire === 2;
    let length = wire === 1 ? 8 : wire === 5 ? 4 : readVarint(bytes, at)[1] - at;
    if (delimited) [length, at] = readVarint(bytes, at);
    if ((wire > 2 && wire !== 5) || tag < 8 || length < 0 || at + length > bytes.length) return [];
    fields.push({ tag: bytes.subarray(start, afterTag), body: bytes.subarray(at, at + length), delimited });
    at += length;
  }
  return fields;
}

function readVarint(bytes: Uint8Array, from: number): [value: number, end: number] {
  let value = 0;
  for (let at = from, scale = 1; at < Math.min(bytes.length, from + 8); at++, scale *= 128) {
    value += (bytes[at] & 127) * scale;
    if (bytes[at] < 128) return [value, at + 1];
  }
  return [0, bytes.length + 1];
}

function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  return Uint8Array.from([...out, rest]);
}

/**
 * A PNG with chunks changed, dropped, doubled and moved, or its pixels unpacked, changed and packed again; most
 * checksums are right.
 */
export function mutatePng(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  if (random.chance(0.15)) return mutateBytes(random, bytes, others);
  const chunks = chunksOf(bytes);
  for (let changes = random.few(); changes > 0 && chunks.length > 0; changes--) {
    const at = random.below(chunks.length);
    const { type, body } = chunks[at];
    const move = random.below(10);
    if (move === 0) chunks.splice(at, 1);
    else if (move === 1) chunks.splice(random.below(chunks.length + 1), 0, chunks[at]);
    else if (move === 2)
      chunks[at].type = random.pick(["IHDR", "PLTE", "IDAT", "IEND", "eXIf", "tRNS", "acTL", "\0\0\0\0"]);
    else if (move === 3) chunks.splice(at, 1, ...chunksOf(random.pick(others)).slice(0, 1 + random.below(4)));
    else if (type === "IHDR") chunks[at].body = mutateHeader(random, body);
    else if (type === "IDAT" && random.chance(0.8)) chunks[at].body = repack(random, body);
    else chunks[at].body = mutateBytes(random, body, others);
  }
  return pngOf(random, bytes.subarray(0, 8), chunks);
}

function mutateHeader(random: Random, body: Uint8Array): Uint8Array {
  const out = Buffer.from(body);
  if (out.length < 13 || random.chance(0.1)) return mutateBytes(random, body, [body]);
  if (random.chance(0.5)) out.writeUInt32BE(edge(random, out.readUInt32BE(0)) >>> 0, 4 * random.below(2));
  if (random.chance(0.5)) out[8 + random.below(5)] = random.pick([0, 1, 2, 3, 4, 6, 8, 16, 255]);
  return out;
}

/** Rows that begin with other filters, or are more or fewer; or deflated data that is damaged. */
function repack(random: Random, body: Uint8Array): Uint8Array {
  let rows: Uint8Array;
  try {
    rows = inflateSync(body);
  } catch {
    return mutateBytes(random, body, [body]);
  }
  if (random.chance(0.2)) return deflateSync(new Uint8Array(random.below(20000)));
  return deflateSync(mutateBytes(random, rows, [rows]), { level: random.pick([0, 1, 9]) });
}

function chunksOf(bytes: Uint8Array): { type: string; body: Uint8Array }[] {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks = [];
  for (let at = 8; at + 12 <= file.length; ) {
    const size = file.readUInt32BE(at);
    chunks.push({ type: file.toString("latin1", at + 4, at + 8), body: bytes.subarray(at + 8, at + 8 + size) });
    at += 12 + size;
  }
  return chunks;
}

function pngOf(
  random: Random,
  signature: Uint8Array,
  chunks: readonly { type: string; body: Uint8Array }[],
): Uint8Array {
  const parts = [signature];
  for (const { type, body } of chunks) {
    const out = Buffer.alloc(12 + body.length);
    out.writeUInt32BE(random.chance(0.02) ? edge(random, body.length) >>> 0 : body.length);
    out.write(type, 4, "latin1");
    out.set(body, 8);
    out.writeUInt32BE(random.chance(0.02) ? 0 : crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
    parts.push(out);
  }
  return join(...parts);
}

/**
 * A JPEG with segments changed, dropped, doubled, moved in from others, frame sizes of any kind, and its scans' bits
 * turned over.
 */
export function mutateJpeg(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  if (random.chance(0.15)) return mutateBytes(random, bytes, others);
  const segments = segmentsOf(bytes);
  for (let changes = random.few(); changes > 0 && segments.length > 0; changes--) {
    const at = random.below(segments.length);
    const segment = segments[at];
    const move = random.below(8);
    if (move === 0) segments.splice(at, 1);
    else if (move === 1) segments.splice(random.below(segments.length + 1), 0, segment);
    else if (move === 2) segments.splice(at, 1, random.pick(segmentsOf(random.pick(others))));
    else if (move === 3 && segment.length > 1)
      segments[at] = join(
        Uint8Array.of(0xff, random.pick([0xc0, 0xc1, 0xc2, 0xc4, 0xc9, 0xda, 0xdb, 0xdd, 0xd9, 0xe1, 0xee])),
        segment.subarray(2),
      );
    else segments[at] = mutateSegment(random, segment);
  }
  return join(...segments);
}

function mutateSegment(random: Random, segment: Uint8Array): Uint8Array {
  const out = Uint8Array.from(segment);
  const frame = out[1] >= 0xc0 && out[1] <= 0xc2;
  if (frame && out.length > 10 && random.chance(0.5)) {
    new DataView(out.buffer).setUint16(5 + 2 * random.below(2), edge(random, 17));
    return out;
  }
  // What follows the marker and its length, or any part of a scan, whose length is not that of its bits.
  const head = out.subarray(0, Math.min(4, out.length));
  const body = mutateBytes(random, out.subarray(head.length), [out]);
  const sized = head.length === 4 && out[1] !== 0xda;
  if (sized && body.length < 0xfffe && random.chance(0.8)) new DataView(out.buffer).setUint16(2, body.length + 2);
  return join(head, body);
}

/** The marker segments in order; a scan's header carries its entropy-coded bits with it. */
function segmentsOf(bytes: Uint8Array): Uint8Array[] {
  const starts: number[] = [];
  for (let at = 0; at + 1 < bytes.length; at++) {
    if (bytes[at] !== 0xff || bytes[at + 1] === 0 || (bytes[at + 1] >= 0xd0 && bytes[at + 1] <= 0xd7)) continue;
    starts.push(at);
    const sized = bytes[at + 1] !== 0xd8 && bytes[at + 1] !== 0xd9;
    at += 1 + (sized ? (bytes[at + 2] << 8) | bytes[at + 3] : 0);
  }
  return starts.map((start, i) => bytes.subarray(start, starts[i + 1] ?? bytes.length));
}
