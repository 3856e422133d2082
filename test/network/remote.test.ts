import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { encodeHeader } from "../../src/checkpoint/safetensors.ts";
import { openCheckpoint, readConfig } from "../../src/files/read-model.ts";
import { parseConfig } from "../../src/model/config.ts";
import { loadTowers, type Tower } from "../../src/model/towers.ts";
import type { RemoteFile } from "../../src/network/http.ts";
import { networkFiles } from "../../src/network/network-files.ts";
import { remoteSource } from "../../src/network/ranges.ts";
import type { Backend } from "../../src/tensor/backend.ts";
import { serveHub } from "../harness/hub.ts";
import { bytesServed } from "../harness/server.ts";
import { syntheticData, syntheticShapes } from "../judge/synthetic.ts";

interface Counted extends RemoteFile {
  /** [offset, length asked for, bytes taken of it] of every stream. */
  readonly streams: [number, number, number][];
}

/** A file of so many bytes that answers ranges in pieces of 64 KiB: behind `head`, each byte is its offset modulo 256. */
function remote(size: number, head: Uint8Array = new Uint8Array(0)): Counted {
  const piece = Uint8Array.from({ length: 2 ** 16 + 256 }, (_, i) => i);
  const streams: [number, number, number][] = [];
  return {
    url: "http://here/file",
    name: "file",
    size,
    ranges: true,
    streams,
    async *stream(offset, length) {
      const stream: [number, number, number] = [offset, length, 0];
      streams.push(stream);
      for (let at = offset; at < offset + length; ) {
        const count = Math.min(2 ** 16, offset + length - at);
        const bytes =
          at < head.length ? head.subarray(at, Math.min(head.length, at + count)) : piece.subarray(at % 256);
        const part = bytes.subarray(0, count);
        stream[2] += part.length;
        at += part.length;
        yield part;
      }
    },
  };
}

const expectBytes = (bytes: Uint8Array, offset: number) =>
  expect(bytes.every((byte, i) => byte === (offset + i) % 256)).toBe(true);

const MIB = 2 ** 20;

describe("a planned range", () => {
  it("is one request, whatever the order of its reads within 64 MiB", async () => {
    const file = remote(100 * MIB);
    const source = await remoteSource(file);
    source.plan!([
      { begin: 10, end: 20 * MIB },
      { begin: 20 * MIB + 5000, end: 40 * MIB },
    ]);
    for (const [offset, length] of [
      [10, 90],
      [30 * MIB, 1000],
      [5 * MIB, 3 * MIB + 1],
      [100, 5 * MIB - 100],
      [29 * MIB + 500_000, 1_000_000 - 500_000 + 48_576],
      [8 * MIB + 1, 12 * MIB - 1],
      [39 * MIB, MIB],
    ]) {
      expectBytes(await source.read(offset, length), offset);
    }
    expect(file.streams).toEqual([[10, 40 * MIB - 10, 40 * MIB - 10]]);
  });

  it("is asked for again where a read is too far off or no longer kept", async () => {
    const file = remote(300 * MIB);
    const source = await remoteSource(file);
    source.plan!([{ begin: 0, end: 300 * MIB }]);
    for (const offset of [0, 200 * MIB, 250 * MIB, 299 * MIB, 210 * MIB, 260 * MIB]) {
      expectBytes(await source.read(offset, 1000), offset);
    }
    expect(file.streams.map(([offset]) => offset)).toEqual([0, 200 * MIB - 2 ** 16, 210 * MIB - 2 ** 16]);
  });

  it("is not all there is: other reads are requests of exactly their bytes", async () => {
    const file = remote(10 * MIB);
    const source = await remoteSource(file);
    source.plan!([{ begin: 0, end: MIB }]);
    expectBytes(await source.read(MIB - 10, 20), MIB - 10);
    source.plan!([]);
    expectBytes(await source.read(5, 20), 5);
    expect(file.streams).toEqual([
      [MIB - 10, 20, 20],
      [5, 20, 20],
    ]);
  });

  it("that is not read to its end gives way to the next, however near", async () => {
    const file = remote(10 * MIB);
    const source = await remoteSource(file);
    source.plan!([
      { begin: 0, end: 2 * MIB },
      { begin: 3 * MIB, end: 6 * MIB },
    ]);
    for (const offset of [0, 3 * MIB, 5 * MIB, MIB]) expectBytes(await source.read(offset, 1000), offset);
    expect(file.streams.map(([offset]) => offset)).toEqual([0, 3 * MIB, MIB - 2 ** 16]);
  });

  it("serves reads that overlap in time", async () => {
    const file = remote(10 * MIB);
    const source = await remoteSource(file);
    source.plan!([{ begin: 0, end: 10 * MIB }]);
    const offsets = [3, 9 * MIB, 5 * MIB, 200_000, 7 * MIB];
    const reads = await Promise.all(offsets.map((offset) => source.read(offset, 150_000)));
    for (const [i, bytes] of reads.entries()) expectBytes(bytes, offsets[i]);
    expect(file.streams.length).toBe(1);
  });
});

const so400m = JSON.parse(readFileSync(new URL("../golden/so400m-384/config.json", import.meta.url), "utf8"));
/** SigLIP 2's largest, 7.5 GB: a layer of it is more than is kept. */
const giant = {
  ...so400m,
  vision_config: { ...so400m.vision_config, hidden_size: 1536, intermediate_size: 6144, num_hidden_layers: 40 },
  text_config: { ...so400m.text_config, vocab_size: 256_000, projection_size: 1536 },
};

/** A float32 checkpoint: by name, as the files on the Hub are, or as the model is defined. */
function checkpointOf(json: unknown, byName = true) {
  const config = parseConfig(json);
  const all = [...syntheticShapes(config)];
  const shapes = new Map(byName ? all.sort(([a], [b]) => (a < b ? -1 : 1)) : all);
  const header = encodeHeader(syntheticData(shapes), [["format", "pt"]]);
  const bytes = (prefix: string) =>
    [...shapes].reduce(
      (sum, [name, shape]) => sum + (name.startsWith(prefix) ? 4 * shape.reduce((a, b) => a * b) : 0),
      0,
    );
  // Behind the header lie logit_bias and logit_scale, which must be numbers.
  const head = Buffer.concat([header, new Uint8Array(8)]);
  return { config, shapes, header, head, bytes, size: header.length + bytes("") };
}

/** A backend that takes every row and keeps none. */
const nowhere = {
  name: "none",
  async weight(_: unknown, rows: AsyncIterable<unknown>) {
    for await (const _ of rows);
  },
  constant() {},
  async loaded() {},
} as unknown as Backend;

describe("a checkpoint of gigabytes", () => {
  const cases: [string, Tower[], ReturnType<typeof checkpointOf>][] = [
    ["so400m", ["image"], checkpointOf(so400m)],
    ["so400m", ["image", "text"], checkpointOf(so400m)],
    ["so400m as it is defined", ["image", "text"], checkpointOf(so400m, false)],
    ["giant", ["image", "text"], checkpointOf(giant)],
  ];
  for (const [name, towers, { config, header, head, bytes, size }] of cases) {
    it(`takes four requests, and no more than the bytes wanted: ${name}, ${towers}`, async () => {
      const wanted = towers.includes("text")
        ? bytes("") - bytes("text_model.embeddings.token")
        : bytes("vision_model.") + bytes("logit_");
      const file = remote(size, head);
      const checkpoint = await Checkpoint.open([await remoteSource(file)]);
      await loadTowers(nowhere, checkpoint, config, { dtype: "f32", towers });
      const taken = file.streams.reduce((sum, [, , count]) => sum + count, 0) - header.length;
      console.log(`${name}, ${towers}: ${file.streams.length} requests, ${taken} bytes of ${wanted} wanted`);
      // The header's length, the header, what lies before the token table, what lies behind it.
      expect(file.streams.length).toBe(4);
      expect(taken).toBe(wanted);
    });
  }

  it("is described by its header and config alone", async () => {
    const hub = await serveHub();
    const { header, head, shapes, size } = checkpointOf(so400m);
    const weights = {
      name: "zeros",
      size,
      async read(offset: number, length: number) {
        const part = new Uint8Array(length);
        part.set(head.subarray(offset, offset + length));
        return part;
      },
    };
    const config = JSON.stringify(so400m);
    hub.publish("org/so400m", { "config.json": config, "model.safetensors": weights });
    const files = networkFiles("org/so400m", { endpoint: hub.endpoint })!;
    await readConfig(files, () => {});
    expect((await openCheckpoint(files)).tensors.size).toBe(shapes.size);
    await files.close();
    console.log(`so400m, headers: ${bytesServed(hub.site)} bytes of the site, ${bytesServed(hub.cdn)} of the CDN`);
    expect(bytesServed(hub.cdn)).toBe(header.length);
    // What goes with a redirect and with a file that is not there is a line each.
    expect(bytesServed(hub.site)).toBeLessThan(config.length + 100);
    await hub[Symbol.asyncDispose]();
  });
});
