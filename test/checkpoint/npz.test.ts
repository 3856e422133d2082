import { describe, expect, it } from "vitest";
import { readNpz } from "../../src/checkpoint/npz.ts";
import { bytesSource, type Source } from "../../src/checkpoint/source.ts";
import { readDirectory } from "../../src/checkpoint/zip.ts";
import { SiglipError } from "../../src/support/error.ts";
import { npy, tuple, writeZip, type ZipFile } from "../harness/npz.ts";

const values = (count: number) => new Uint8Array(Float32Array.from({ length: count }, (_, i) => i / 7).buffer);
const array = (name: string, count: number, more: Partial<ZipFile> = {}): ZipFile => {
  return { name: `${name}.npy`, data: npy(values(count), { shape: tuple([count]) }), ...more };
};
const read = (file: Uint8Array, wanted = (_: string) => true) => readNpz(bytesSource(file, "x.npz"), wanted);

/** The bytes of an array, in parts that go forward. */
async function dataOf({ source, begin, end }: { source: Source; begin: number; end: number }): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let at = begin; at < end; at += 100) parts.push(await source.read(at, Math.min(100, end - at)));
  return Buffer.concat(parts);
}

/** The message of the SiglipError that a promise rejects with: one sentence that names the file. */
async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(SiglipError);
  expect(error.message).toMatch(/^x\.npz: [^\n]+\.$/);
  return error.message;
}

describe("an npz file", () => {
  for (const deflated of [false, true]) {
    for (const wide of [false, true]) {
      it(`of ${deflated ? "deflated" : "stored"} arrays ${wide ? "with 64-bit sizes " : ""}gives each one's bytes`, async () => {
        const files = [array("a/b", 300, { deflated, wide }), array("c", 1, { deflated, wide })];
        const found = await read(writeZip(files, { wide, comment: "PK\x05\x06 in a comment" }));
        expect([...found.keys()]).toEqual(["a/b", "c"]);
        for (const [name, count] of Object.entries({ "a/b": 300, c: 1 })) {
          expect(found.get(name)).toMatchObject({ dtype: "F32", shape: [count] });
          expect(Buffer.compare(await dataOf(found.get(name)!), values(count))).toBe(0);
        }
      });
    }
  }

  it("has scalars, other types, other versions of the header, and arrays that nobody wants", async () => {
    const files = [
      { name: "t.npy", data: npy(values(1)) },
      { name: "half.npy", data: npy(new Uint8Array(8), { descr: "<f2", shape: "(2, 2)", version: 2 }) },
      { name: "brain.npy", data: npy(new Uint8Array(6), { descr: "|V2", shape: "(3,)", version: 3 }) },
      { name: "opt/state.npy", data: npy(new Uint8Array(9), { descr: "|O", shape: "(1,)" }) },
      { name: "notes.txt", data: new Uint8Array(5) },
    ];
    const found = await read(writeZip(files), (name) => !name.startsWith("opt/"));
    expect([...found.values()].map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
      ["t", "F32", []],
      ["half", "F16", [2, 2]],
      ["brain", "BF16", [3]],
    ]);
  });

  it("inflates an array once as long as reads go forward, and again for one that goes back", async () => {
    const file = writeZip([array("a", 50_000, { deflated: true })]);
    let bytes = 0;
    const begun: number[] = [];
    const source = bytesSource(file, "x.npz");
    const counted: Source = {
      ...source,
      read(offset, length) {
        bytes += length;
        begun.push(offset);
        return source.read(offset, length);
      },
    };
    const found = (await readNpz(counted, () => true)).get("a")!;
    expect(begun.filter((offset) => offset === found.range.begin)).toHaveLength(1);
    bytes = 0;
    const together = [0, 4000, 100_000, 199_996].map((at) => found.source.read(found.begin + at, 4));
    expect((await Promise.all(together)).map((four) => new Float32Array(four.buffer)[0])).toEqual(
      [0, 1000, 25_000, 49_999].map((i) => Math.fround(i / 7)),
    );
    expect(bytes).toBeLessThanOrEqual(file.length);
    expect(await found.source.read(found.begin, 8)).toEqual(values(2));
    expect(bytes).toBeGreaterThan(file.length);
  });
});

describe("a hostile npz file", () => {
  const sound = writeZip([array("a", 100), array("b", 100)]);
  const at = (offset: number, bytes: readonly number[], of = sound) => {
    const copy = of.slice();
    copy.set(bytes, offset < 0 ? copy.length + offset : offset);
    return copy;
  };
  const cases: [string, Uint8Array, RegExp][] = [
    ["that is empty", new Uint8Array(0), /none of its last 0 bytes begin a zip archive's end record/],
    ["cut short", sound.subarray(0, -30), /none of its last/],
    ["whose directory is said to be longer", at(-10, [255, 255]), /its directory claims bytes/],
    ["with more entries than its directory", at(-12, [9, 0], at(-14, [9, 0])), /breaks off at entry 2/],
    ["of parts on other disks", at(-18, [1]), /other disks/],
    ["whose entries overlap", writeZip([array("a", 9), array("b", 9, { claims: { offset: 0 } })]), /overlaps/],
    ["whose entry leaves the file", writeZip([array("a", 9, { claims: { offset: 1e9 } })]), /overlaps what begins at/],
    ["with a name twice", writeZip([array("a", 9), array("a", 9)]), /the entry "a.npy" twice/],
    ["that is encrypted", writeZip([array("a", 9, { claims: { flags: 1 } })]), /is encrypted/],
    ["stored in fewer bytes than it claims", writeZip([array("a", 9, { claims: { size: 9e8 } })]), /is stored in/],
    [
      "deflated that claims more than any stream holds",
      writeZip([array("a", 9, { deflated: true, claims: { size: 4e9 } })]),
      /claims 4000000000 bytes, more than \d+ deflated ones can hold/,
    ],
    ["that is no array", writeZip([{ name: "a.npy", data: values(9) }]), /does not begin as npy files do/],
    ["of another npy version", writeZip([{ name: "a.npy", data: at(6, [7], npy(values(1))) }]), /npy version 7/],
    [
      "with a huge header",
      writeZip([{ name: "a.npy", data: at(8, [255, 255, 255, 127], npy(values(1), { version: 2 })) }]),
      /a header of 2147483647 bytes/,
    ],
    ...(
      [
        ["a huge shape", { shape: "(4294967296, 4294967296)" }, /takes 73786976294838210000;/],
        ["a shape that its bytes do not bear out", { shape: "(10,)" }, /has 36 bytes where F32 \[10\] takes 40/],
        ["a negative axis", { shape: "(-9,)" }, /not numpy's/],
        ["Fortran's order", { order: "True", shape: "(3, 3)" }, /Fortran's order/],
        ["objects", { descr: "|O", shape: "(9,)" }, /element type "\|O"/],
        ["big-endian numbers", { descr: ">f4", shape: "(9,)" }, /element type ">f4"/],
        ["the type constructor", { descr: "constructor", shape: "(9,)" }, /element type "constructor"/],
        ["code for a shape", { shape: "(print(1),)" }, /not numpy's/],
      ] as const
    ).map(([what, header, message]): [string, Uint8Array, RegExp] => [
      `of ${what}`,
      writeZip([{ name: "a.npy", data: npy(values(9), header) }]),
      message,
    ]),
  ];
  it.each(cases)("%s is refused in one sentence", async (_, file, message) => {
    expect(await refusal(read(file))).toMatch(message);
  });

  it.each([
    [
      "holds more than it claims",
      npy(new Uint8Array(1e6), { shape: "(100,)" }),
      528,
      /holds (more bytes|a stream at fault \(.*\)) where it claims 528/,
    ],
    [
      "ends early",
      npy(values(9), { shape: "(100,)" }),
      528,
      /holds (only 164|a stream at fault \(.*\)) where it claims 528/,
    ],
  ])("a deflated array that %s is refused when it is read", async (_, data, size, message) => {
    const found = await read(writeZip([{ name: "a.npy", data, deflated: true, claims: { size } }]));
    expect(await refusal(dataOf(found.get("a")!))).toMatch(message);
  });

  it("a stream at fault is refused, and a later read meets it again", async () => {
    const file = writeZip([{ ...array("a", 20_000), deflated: true }]);
    // Within the bits of a literal mostly: what comes out is as long as it was.
    file[5000] ^= 1;
    const found = (await read(file)).get("a")!;
    for (let i = 0; i < 2; i++) expect(await refusal(dataOf(found))).toMatch(/a stream at fault|more bytes|only/);
  });

  it("a directory of more than 16 MiB is not read", async () => {
    const file = new Uint8Array(2 ** 24 + 100);
    file.set(sound.subarray(-22), file.length - 22);
    new DataView(file.buffer).setUint32(file.length - 10, 2 ** 24 + 1, true);
    new DataView(file.buffer).setUint32(file.length - 6, 0, true);
    expect(await refusal(readDirectory(bytesSource(file, "x.npz")))).toMatch(/claims 16777217 bytes where 16777216/);
  });
});
