/** A member of an archive to be made. */
export interface TarMember {
  readonly name: string;
  readonly content: Uint8Array | string;
  /** "0" by default, a file. */
  readonly type?: string;
  readonly mtime?: number;
  /** What the header says in place of the true size. */
  readonly size?: string;
}

/** A ustar archive with the two blocks of zeros at its end. */
export function tar(members: readonly TarMember[]): Uint8Array {
  return Buffer.concat([...members.map(tarMember), new Uint8Array(1024)]);
}

/** One member without what ends an archive. */
export function tarMember({ name, content, type = "0", mtime = 1e9, size }: TarMember): Uint8Array {
  const data = Buffer.from(content as string);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write("0000644\0", 100);
  header.write(size ?? `${data.length.toString(8).padStart(11, "0")}\0`, 124, 12, "latin1");
  header.write(`${mtime.toString(8).padStart(11, "0")}\0`, 136);
  header.write(" ".repeat(8), 148);
  header.write(type, 156);
  header.write("ustar\0" + "00", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}

/** A record of pax: "27 path=…\n", where the number is the record's length. */
export function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (`${length}`.length + rest !== length) length = `${length}`.length + rest;
  return `${length} ${key}=${value}\n`;
}
