import { mismatch, type SiglipError } from "../../support/error.ts";

/** Bytes that are gone through once, from the first to the last. */
export interface Bytes {
  /** Of what they are, for errors. */
  readonly name: string;
  /** How many have been taken or passed over. */
  readonly position: number;
  /** How many there are in all, where that is known. */
  readonly size?: number;
  /** The next `length` bytes, fewer only where they end. */
  take(length: number): Promise<Uint8Array>;
  /** Passes over bytes; false where there are not as many. */
  skip(length: number): Promise<boolean>;
}

/** A file in an archive. */
export interface Member {
  /** As the archive has it. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Of its last change, in seconds, as the archive has it. */
  readonly mtime: string;
  /** Where its bytes begin in the archive. */
  readonly offset: number;
  /** Its bytes; asked for before the next member is, and rejects where the archive ends within them. */
  read(): Promise<Uint8Array>;
}

/** Archives consist of blocks. */
const BLOCK = 512;

/** A name and what else precedes a member is at most this long, in bytes. */
const META = 2 ** 20;

/** What members before say of the next. */
interface Further {
  path?: string;
  size?: number;
  mtime?: string;
  sparse?: boolean;
}

/**
 * The files in a tar archive, in their order: ustar, GNU's long names and sizes, and the records of pax. Folders,
 * links, devices and sparse files are passed over. Throws a SiglipError where the archive is damaged or cut; members
 * before that are sound.
 */
export async function* tarMembers(bytes: Bytes): AsyncGenerator<Member> {
  let further: Further = {};
  let common: Further = {};
  for (;;) {
    const at = bytes.position;
    const header = await bytes.take(BLOCK);
    // Some writers leave out the zeros that mark the end.
    if (header.length === 0) return;
    if (header.length < BLOCK) throw cut(bytes, at);
    if (header.every((byte) => byte === 0)) return;
    if (!hasChecksum(header)) throw damaged(bytes, at, "a header whose checksum is wrong");
    const type = String.fromCharCode(header[156]);
    const size = (type === "x" || type === "g" ? undefined : further.size) ?? readNumber(header.subarray(124, 136));
    if (size === undefined) throw damaged(bytes, at, "a size that is no number");
    const offset = bytes.position;
    if ("xgLK".includes(type)) {
      if (size > META) throw damaged(bytes, at, `a name or other record of ${size} bytes`);
      const content = await bytes.take(size);
      if (content.length < size) throw cut(bytes, at);
      if (type === "L") further.path = text(content);
      if (type === "x") further = { ...further, ...readPax(content) };
      if (type === "g") common = { ...common, ...readPax(content) };
    } else {
      const {
        path = nameOf(header),
        mtime = `${readNumber(header.subarray(136, 148)) ?? 0}`,
        sparse,
      } = {
        ...common,
        ...further,
      };
      further = {};
      if ((type === "0" || type === "\0") && !path.endsWith("/") && !sparse) {
        if (offset + size > (bytes.size ?? Number.POSITIVE_INFINITY)) throw cut(bytes, at);
        let reading: Promise<Uint8Array> | undefined;
        const read = () => {
          reading ??= bytes.take(size).then((content) => {
            if (content.length === size) return content;
            throw cut(bytes, at);
          });
          return reading;
        };
        yield { name: path, size, mtime, offset, read };
        await reading;
      }
    }
    const end = offset + Math.ceil(size / BLOCK) * BLOCK;
    if (!(await bytes.skip(end - bytes.position))) {
      // The last block need not be filled up where nothing follows.
      if (bytes.position < offset + size) throw cut(bytes, at);
      return;
    }
  }
}

/** A header's own sum, in which its field counts as spaces; old writers took bytes for signed. */
function hasChecksum(header: Uint8Array): boolean {
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < BLOCK; i++) {
    const byte = i >= 148 && i < 156 ? 32 : header[i];
    unsigned += byte;
    signed += (byte << 24) >> 24;
  }
  const sum = readNumber(header.subarray(148, 156));
  return sum === unsigned || sum === signed;
}

/** Octal digits, or a binary number of GNU's where the first bit is set; undefined for what is neither or too large. */
function readNumber(field: Uint8Array): number | undefined {
  if (field[0] & 0x80) {
    if (field[0] !== 0x80) return undefined;
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = /^ *([0-7]*)[ \0]*$/.exec(latin1(field))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits || "0", 8);
}

function nameOf(header: Uint8Array): string {
  const name = text(header.subarray(0, 100));
  // GNU's headers keep times where ustar's keep the beginning of a long name.
  const prefix = latin1(header.subarray(257, 263)) === "ustar\0" ? text(header.subarray(345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Records of the form "27 path=a name of any length\n", the number being their length. */
function readPax(content: Uint8Array): Further {
  const found: Further = {};
  for (let at = 0; at < content.length; ) {
    const length = Number.parseInt(latin1(content.subarray(at, at + 12)), 10);
    if (!(length >= 5 && at + length <= content.length)) break;
    const [, key, value] = /^\d+ ([^=]+)=(.*)\n$/s.exec(text(content.subarray(at, at + length), false)) ?? [];
    if (key === "path" && value !== "") found.path = value.replace(/\0.*$/s, "");
    if (key === "mtime" && /^-?\d{1,20}(\.\d{1,20})?$/.test(value)) found.mtime = value;
    if (key === "size" && /^\d{1,15}$/.test(value)) found.size = Number(value);
    if (key?.startsWith("GNU.sparse.")) found.sparse = true;
    at += length;
  }
  return found;
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** UTF-8 up to a zero byte. */
function text(bytes: Uint8Array, zeroEnds = true): string {
  const end = zeroEnds ? bytes.indexOf(0) : -1;
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

const ADVICE = "make the archive anew, for what follows is lost";

function cut({ name, position, size = position }: Bytes, at: number): SiglipError {
  return mismatch("bad-input", name, `all of the member at byte ${at}`, `an end after ${size} bytes`, ADVICE);
}

function damaged({ name }: Bytes, at: number, found: string): SiglipError {
  return mismatch("bad-input", name, `a sound header of a tar archive at byte ${at}`, found, ADVICE);
}
