import { createHash } from "node:crypto";
import { mkdtemp, open, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { remoteSource } from "../../../src/network/ranges.ts";
import { BLOCK, BlockFile, type BlockFileOptions, type Origin } from "../../../src/node/cache/blocks.ts";
import { Descriptor } from "../../../src/node/descriptor.ts";
import { SiglipError } from "../../../src/support/error.ts";

/** More blocks than are fetched together for several, and a bit; none is like another. */
const SIZE = 40 * BLOCK + 1000;
const content = Buffer.alloc(SIZE);
for (let at = 0; at < SIZE; at += 32) createHash("sha256").update(`${at}`).digest().copy(content, at);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "siglip-blocks-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A server's part: `asked` holds the ranges, [first block, end in blocks]. */
function origin({ ranges = true, pieces = 10_000, cutAfter = Number.POSITIVE_INFINITY } = {}) {
  const asked: [number, number][] = [];
  let left = cutAfter;
  const source: Origin = {
    ranges,
    async *stream(offset, length, signal) {
      asked.push([offset / BLOCK, (offset + length) / BLOCK]);
      for (let at = offset; at < offset + length; at += pieces) {
        signal?.throwIfAborted();
        const piece = content.subarray(at, Math.min(at + pieces, offset + length));
        left -= piece.length;
        if (left < 0) throw new SiglipError("the line was cut.", { code: "network" });
        yield piece;
      }
    },
  };
  return { asked, source };
}

async function begin(name: string, from = origin(), options: Partial<BlockFileOptions> = {}) {
  const path = join(folder, name);
  const file = await BlockFile.open(path, { name: "weights", size: SIZE, origin: async () => from.source, ...options });
  onTestFinished(() => file.close().catch(() => {}));
  return { file, path, asked: from.asked };
}

/** Whether a read gave what it should; the runner's own comparison of large arrays takes seconds. */
const same = (bytes: Uint8Array, offset: number, length: number) =>
  expect(content.subarray(offset, offset + length).equals(bytes)).toBe(true);

async function read(file: BlockFile, offset: number, length: number): Promise<Uint8Array> {
  const source = await remoteSource(file);
  return source.read(offset, length);
}

async function flip(path: string, offset: number): Promise<void> {
  const handle = await open(path, "r+");
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, offset);
  byte[0] ^= 1;
  await handle.write(byte, 0, 1, offset);
  await handle.close();
}

describe("a partial file", () => {
  it("fetches what is asked for and missing, neighbours at once, and never again", async () => {
    const { file, path, asked } = await begin("ranges");
    same(await read(file, 3 * BLOCK + 5, 10), 3 * BLOCK + 5, 10);
    same(await read(file, 3 * BLOCK - 1, 3), 3 * BLOCK - 1, 3);
    same(await read(file, 0, SIZE), 0, SIZE);
    same(await read(file, SIZE, 0), SIZE, 0);
    const whole = SIZE / BLOCK;
    expect(asked).toEqual([
      [3, 4],
      [2, 3],
      [0, 2],
      [4, whole],
    ]);
    expect([file.present, file.complete]).toEqual([SIZE, true]);
    same(await readFile(path), 0, SIZE);
    const again = await begin("ranges");
    same(await read(again.file, BLOCK - 7, 8 * BLOCK), BLOCK - 7, 8 * BLOCK);
    expect(again.asked).toEqual([]);
  });

  it("asks once for what several want at the same time", async () => {
    const { file, asked } = await begin("together");
    const places = [0, 1, 2, 3, 4, 5].map((row) => 4 * BLOCK - 3000 + row * 1000);
    const rows = await Promise.all(places.map((place) => read(file, place, 1000)));
    for (const [index, row] of rows.entries()) same(row, places[index], 1000);
    expect(asked).toEqual([
      [3, 4],
      [4, 5],
    ]);
  });

  it("does not let one who gives up take others along", async () => {
    const { file } = await begin("alone");
    const abort = new AbortController();
    const source = await remoteSource(file);
    const given = source.read(0, 10, abort.signal);
    const wanted = source.read(20, 10);
    abort.abort();
    await expect(given).rejects.toMatchObject({ name: "AbortError" });
    same(await wanted, 20, 10);
  });

  it("believes no journal of a file that is just going to its place", async () => {
    const warnings: string[] = [];
    const { file, path } = await begin("going");
    await read(file, 0, SIZE);
    await file.close();
    const [data, journal] = await Promise.all([readFile(path), readFile(`${path}.journal`)]);
    for (let round = 0; round < 100; round++) {
      await Promise.all([writeFile(path, data), writeFile(`${path}.journal`, journal)]);
      const [opened] = await Promise.all([
        begin("going", origin(), { onWarning: (message) => warnings.push(message) }),
        rename(path, `${path}.placed`),
      ]);
      same(await read(opened.file, 0, 10), 0, 10);
      await opened.file.close();
    }
    expect(warnings).toEqual([]);
  });

  it("is sparse", async (context) => {
    const { file, path } = await begin("sparse");
    await read(file, 9 * BLOCK, 1);
    const { blocks } = await stat(path);
    if (blocks === undefined || process.platform === "win32") return context.skip("no count of blocks here");
    // A file system's own blocks have 512 bytes in this count; one of ours and what a file system may add.
    expect(blocks * 512).toBeLessThan(3 * BLOCK);
  });

  it("keeps what arrived before a cut, an abort and a consumer that leaves", async () => {
    const cut = await begin("cut", origin({ cutAfter: 2.5 * BLOCK }));
    await expect(read(cut.file, 0, SIZE)).rejects.toThrow("the line was cut.");
    expect(cut.file.present).toBe(2 * BLOCK);
    const abort = new AbortController();
    const aborted = await begin("cut");
    const reading = async () => {
      let seen = 0;
      for await (const chunk of aborted.file.stream(0, SIZE, abort.signal)) {
        seen += chunk.length;
        if (seen > 4.2 * BLOCK) abort.abort();
      }
    };
    await expect(reading()).rejects.toMatchObject({ name: "AbortError" });
    expect(aborted.file.present).toBe(4 * BLOCK);
    const left = await begin("cut");
    for await (const chunk of left.file.stream(4 * BLOCK, SIZE - 4 * BLOCK)) {
      expect(chunk).toHaveLength(10_000);
      break;
    }
    const rest = await begin("cut");
    same(await read(rest.file, 0, SIZE), 0, SIZE);
    expect([cut, aborted, left, rest].flatMap(({ asked }) => asked.map(([first]) => first))).toEqual([0, 2, 4, 4]);
  });

  it("brings all of a file to disk, once, from a server without ranges", async () => {
    const { file, asked } = await begin("no-ranges", origin({ ranges: false }));
    const parts = await Promise.all([read(file, 9 * BLOCK, 5), read(file, 2 * BLOCK, 5)]);
    same(parts[0], 9 * BLOCK, 5);
    same(parts[1], 2 * BLOCK, 5);
    expect(asked).toEqual([[0, SIZE / BLOCK]]);
  });

  it("fills in the rest and tells how much is there", async () => {
    const { file, asked } = await begin("fill");
    await read(file, 4 * BLOCK, 1);
    const told: number[] = [];
    await file.fill(undefined, (present) => told.push(present));
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect([told[0], told.at(-1)]).toEqual([BLOCK, SIZE]);
    expect(asked.slice(1)).toEqual([
      [0, 4],
      [5, SIZE / BLOCK],
    ]);
  });

  it("names what is damaged, fetches it again, and gives up on what is damaged twice", async () => {
    const warnings: string[] = [];
    const { file, path, asked } = await begin("damaged", origin(), { onWarning: (message) => warnings.push(message) });
    await file.fill();
    await flip(path, 5 * BLOCK + 77);
    same(await read(file, 0, SIZE), 0, SIZE);
    expect(asked.slice(1)).toEqual([[5, 6]]);
    expect(warnings).toEqual([
      `weights: found bytes ${5 * BLOCK} to ${6 * BLOCK} damaged in ${path}; they are fetched again.`,
    ]);
    await flip(path, 5 * BLOCK);
    await expect(read(file, 5 * BLOCK, 1)).rejects.toThrow(/^weights: .* damaged twice; check the disk\.$/);
    const cut = await begin("damaged", origin(), { onWarning: () => {} });
    await truncate(path, 8 * BLOCK);
    expect([await cut.file.check(), cut.file.present]).toEqual([true, 7 * BLOCK]);
    expect(await cut.file.check()).toBe(false);
  });

  it("believes no journal that lost its file, nor lines that make no sense", async () => {
    const { file, path } = await begin("orphan");
    await file.fill();
    await rm(path);
    const again = await begin("orphan");
    expect(again.file.present).toBe(0);
    await read(again.file, 0, 1);
    const journal = await open(`${path}.journal`, "a");
    await journal.write(`1 short\n99999 ${"x".repeat(43)}\n-1 gone\n0 ${"x".repeat(43)}\n2 ${"y".repeat(20)}`);
    await journal.close();
    const third = await begin("orphan", origin(), { onWarning: () => {} });
    expect(third.file.present).toBe(BLOCK);
    same(await read(third.file, 0, SIZE), 0, SIZE);
    expect((await begin("orphan")).file.complete).toBe(true);
  });

  it("is shared: what one has fetched, another that opened it before finds", async () => {
    const [first, second] = [await begin("shared"), await begin("shared")];
    await read(first.file, 0, 4 * BLOCK);
    same(await read(second.file, 2 * BLOCK, 4 * BLOCK), 2 * BLOCK, 4 * BLOCK);
    expect(second.asked).toEqual([[4, 6]]);
    same(await read(first.file, 0, 6 * BLOCK), 0, 6 * BLOCK);
    expect(first.asked).toEqual([[0, 4]]);
  });

  it("takes no memory for the size that a server claims", async () => {
    const origin = async () => Promise.reject(new SiglipError("nothing is fetched.", { code: "network" }));
    const before = process.memoryUsage().heapUsed;
    // A list of as many blocks, as an array, would take 268 MB.
    const file = await BlockFile.open(join(folder, "claimed"), { name: "claimed", size: 2 ** 41, origin });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(10e6);
    expect([file.present, file.complete]).toEqual([0, false]);
    await file.close();
  });

  it("tells of a full disk in one sentence, passes on what comes, and keeps what was written", async () => {
    const { file, path } = await begin("full");
    await read(file, 0, 1);
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const write = vi.spyOn(Descriptor.prototype, "write").mockRejectedValue(full);
    same(await read(file, 0, SIZE), 0, SIZE);
    const why = `${path}: wanted to write this file, found no space left on the disk; free some and try again.`;
    expect(file.refusal?.message).toBe(why);
    await expect(file.fill()).rejects.toThrow(why);
    write.mockRestore();
    expect(file.present).toBe(BLOCK);
    await file.close();
    const again = await begin("full");
    same(await read(again.file, 0, SIZE), 0, SIZE);
    expect(again.file.present).toBe(SIZE);
  });

  it("believes no answer that is too short or too long", async () => {
    const answer = (length: number) => ({
      asked: [],
      source: {
        ranges: true,
        async *stream() {
          yield content.subarray(0, length);
        },
      },
    });
    for (const length of [0, 10, BLOCK, 2 * BLOCK]) {
      const { file } = await begin(`answer-${length}`, answer(length));
      const reading = read(file, 0, BLOCK);
      if (length === BLOCK) same(await reading, 0, BLOCK);
      else
        await expect(reading).rejects.toThrow(
          `weights: wanted ${BLOCK} bytes, found an answer of ${length}; try again.`,
        );
    }
  });
});
