import { readFileSync } from "node:fs";
import { readHeader, type TensorData, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { demo } from "./demo.ts";

const read = (file: string) => new Uint8Array(readFileSync(new URL(file, demo)));

/** The demo model's JSON files, parsed anew for each caller to change. */
export const demoJson = (file: "config.json" | "preprocessor_config.json") =>
  JSON.parse(new TextDecoder().decode(read(file)));

/** What differs from the demo model's own files. */
export interface Variant {
  readonly config?: unknown;
  /** JSON files by their names; undefined where there is to be none. By default the demo's preprocessor_config.json. */
  readonly json?: Readonly<Record<string, unknown>>;
  /** A tensor's name and shape in the file; undefined where it is left out. */
  readonly tensor?: (name: string, shape: readonly number[]) => { name: string; shape?: readonly number[] } | undefined;
  readonly more?: readonly TensorData[];
}

/** The demo model, saved in another way. */
export async function variant({ config = demoJson("config.json"), json, tensor, more = [] }: Variant): Promise<File[]> {
  const weights = read("model.safetensors");
  const { tensors } = await readHeader(bytesSource(weights));
  const kept = [...tensors.values()].flatMap((info) => {
    const as = tensor ? tensor(info.name, info.shape) : info;
    return as ? [{ ...info, ...as, data: weights.subarray(info.begin, info.end) }] : [];
  });
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of writeSafetensors([...kept, ...more])) parts.push(chunk as Uint8Array<ArrayBuffer>);
  const files = { "preprocessor_config.json": demoJson("preprocessor_config.json"), ...json, "config.json": config };
  return [
    new File(parts, "model.safetensors"),
    new File([read("spiece.model")], "spiece.model"),
    ...Object.entries(files)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => new File([JSON.stringify(value)], name)),
  ];
}
