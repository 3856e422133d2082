// Archives of pictures and texts that are no longer what they should be, read from a file and as they arrive.
import assert from "node:assert/strict";
import { archiveEntries } from "../../src/bulk/sources/archive.ts";
import { sourceBytes, streamBytes } from "../../src/bulk/sources/bytes.ts";
import type { Bytes } from "../../src/bulk/sources/tar.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import type { SiglipError } from "../../src/support/error.ts";
import { paxRecord, type TarMember, tar as writeTar } from "../harness/tar.ts";
import { edge, mutateBytes, type Random } from "./random.ts";
import type { Target } from "./targets.ts";

const SEED: readonly TarMember[] = [
  { name: "000.jpg", content: "J".repeat(700) },
  { name: "000.txt", content: "a cat\n" },
  {
    type: "x",
    name: "x",
    content: paxRecord("path", "猫/001.png") + paxRecord("mtime", "1.5") + paxRecord("size", "2"),
  },
  { name: "001.png", content: "P1" },
  { name: "猫/001.json", content: '{"caption": "a dog", "text": "one dog"}' },
  { type: "L", name: "././@LongLink", content: `${"long/".repeat(60)}.webp\0` },
  { name: "x", content: "W" },
  { type: "g", name: "g", content: paxRecord("mtime", "7") },
  { name: "folder/", content: "", type: "5" },
  { name: "002.gif", content: "" },
];
const TYPES = ["0", "\0", "1", "5", "x", "g", "L", "K", "S", "7"];

function make(random: Random): readonly Uint8Array[] {
  const members = SEED.flatMap((member): TarMember[] => {
    if (random.chance(0.8)) return [member];
    const content = Buffer.from(member.content as string);
    switch (random.below(5)) {
      case 0:
        return [];
      case 1:
        return [{ ...member, type: random.pick(TYPES) }];
      case 2:
        return [{ ...member, size: edge(random, content.length).toString(8).padStart(11, "0") }];
      case 3:
        return [{ ...member, size: String.fromCharCode(128, ...random.bytes(11)) }];
      default:
        return [{ ...member, content: mutateBytes(random, content, [content]) }];
    }
  });
  const whole = writeTar(members);
  return [random.chance(0.4) ? mutateBytes(random, whole, [whole]) : whole];
}

async function readAll(bytes: Bytes): Promise<string[]> {
  const found: string[] = [];
  const report = (error: SiglipError) => {
    throw error;
  };
  const load = async () => "";
  for await (const { kind, name, stamp } of archiveEntries(bytes, "s", { keep: () => true, report }, (key, member) => {
    assert(member.size >= 0 && member.offset % 512 === 0);
    return { ...key, load };
  })) {
    found.push(`${kind} ${name} ${stamp}`);
  }
  return found;
}

export const tar: Target = {
  name: "tar",
  cases: 600,
  bound: (length) => 64 * length,
  make,
  async read([file]) {
    async function* pieces() {
      for (let at = 0; at < file.length; at += 300) yield file.subarray(at, at + 300);
    }
    const found = await readAll(sourceBytes(bytesSource(file, "x.tar")));
    return async () => assert.deepEqual(await readAll(streamBytes(pieces(), "x.tar")), found);
  },
};
