import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ModelFiles } from "./files.ts";
import { normalised, type Pictures } from "./inputs.ts";
import type { DType, Loaded } from "./measure.ts";

const SCRIPT = fileURLToPath(new URL("hugging-face.py", import.meta.url));

/** Hugging Face's own model in PyTorch, on CUDA where that is there, with scaled dot product attention. */
export async function torchTower(
  dtype: DType,
  { folder, checkpoint }: ModelFiles,
  { pixels, shape, width }: Pictures,
): Promise<Loaded> {
  const inputs = join(folder, "pixels.bin");
  const outputs = join(folder, "embeddings.bin");
  await writeFile(inputs, pixels);
  const python = spawn("python3", [SCRIPT, checkpoint, dtype, inputs, JSON.stringify(shape)]);
  let complaint = "";
  python.on("error", ({ message }) => (complaint = message));
  python.stdin.on("error", () => {}); // that it has ended, its silence tells
  python.stderr.on("data", (data) => (complaint = (complaint + data).slice(-2000)));
  const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { done, value } = await lines.next();
    if (done) throw new Error(complaint.trim().split("\n").at(-1) || "PyTorch ended without a word");
    return JSON.parse(value) as { on?: string; peak?: number };
  };
  const { on } = await next();
  let peak: number | undefined;
  const run = async (file = "") => {
    python.stdin.write(`${file}\n`);
    ({ peak } = await next());
  };
  const output = async () => {
    await run(outputs);
    return normalised(new Float32Array((await readFile(outputs)).buffer), width);
  };
  return { on, peak: () => peak ?? 0, output, run };
}
