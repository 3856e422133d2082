// Models as `siglip convert` writes them, and what they are held to.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { type ConvertOptions, convertFiles } from "../../src/files/convert.ts";
import { writeNewFolder } from "../../src/node/new-folder.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { type Contents, demoContents, filesOf } from "../harness/layouts.ts";
import { bytesOf } from "../judge/layouts.ts";

/** Where models are written; `remove` at the end. */
export const folder = temporaryFolder();
let made = 0;
/** A path below it at which there is nothing yet. */
export const place = () => join(folder.path, `out-${made++}`);

/** The demo model's files. */
export const demo = demoContents();

/** Writes files of a model in memory as a folder, and gives its path. */
export async function convert(contents: Contents, options: ConvertOptions = {}, npz?: string): Promise<string> {
  const out = place();
  await writeNewFolder(out, convertFiles(filesOf(contents, npz).files, options), options.signal);
  return out;
}

/** A JSON file of a folder. */
export const json = (out: string, name: string) => JSON.parse(readFileSync(join(out, name), "utf8"));
/** A file. */
export const read = (path: string) => new Uint8Array(readFileSync(path));
/** The names of the safetensors files in a folder, in order. */
export const weightsIn = (out: string) =>
  readdirSync(out)
    .filter((name) => name.endsWith(".safetensors"))
    .sort();

/** All of these as one checkpoint. */
export async function open(out: string): Promise<Checkpoint> {
  return Checkpoint.open(weightsIn(out).map((name) => bytesSource(read(join(out, name)), name)));
}

/** Holds every tensor to the demo's own. */
export async function expectDemo(checkpoint: Checkpoint): Promise<void> {
  const own = await Checkpoint.open([bytesSource(demo["model.safetensors"])]);
  expect([...checkpoint.tensors.keys()].sort()).toEqual([...own.tensors.keys()].sort());
  for (const name of own.tensors.keys()) {
    const [a, b] = [await checkpoint.read(name), await own.read(name)];
    expect(Buffer.compare(bytesOf(a), bytesOf(b)), name).toBe(0);
  }
}

/** The rules of safetensors, read by nothing of ours: https://github.com/huggingface/safetensors#format */
export function expectSafetensors(file: Uint8Array): void {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const length = Number(view.getBigUint64(0, true));
  expect(length % 8).toBe(0);
  expect(file[8]).toBe("{".charCodeAt(0));
  const { __metadata__, ...tensors } = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  expect(__metadata__).toEqual({ format: "pt" });
  let end = 0;
  for (const { dtype, shape, data_offsets } of Object.values(tensors) as {
    dtype: "F32" | "F16" | "BF16";
    shape: number[];
    data_offsets: [number, number];
  }[]) {
    const size = { F32: 4, F16: 2, BF16: 2 }[dtype];
    expect(data_offsets).toEqual([end, end + shape.reduce((product, axis) => product * axis, size)]);
    expect(data_offsets[0] % size).toBe(0);
    end = data_offsets[1];
  }
  expect(8 + length + end).toBe(file.length);
}
