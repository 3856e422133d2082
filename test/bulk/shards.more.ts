import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { siglip } from "../harness/cli.ts";
import { tar } from "../harness/tar.ts";

const folder = mkdtempSync(join(tmpdir(), "siglip-shards-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

/** Runs a command that is to succeed; gives what it says. */
async function run(args: readonly string[], env?: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await siglip(args, { env });
  expect(code, stderr).toBe(0);
  return stdout;
}

describe("a source in shards", () => {
  const pictures = fileURLToPath(new URL("../../weights/demo/examples", import.meta.url));
  const words = [at("photos"), at("web.tar"), at("texts.jsonl")];
  const model = ["--backend", "cpu"];
  const one = at("one.safetensors");

  it("that was planned becomes the same file as without them, bit for bit", async () => {
    const names = readdirSync(pictures).filter((name) => /\.(jpg|png)$/.test(name));
    mkdirSync(at("photos"));
    for (const name of names.slice(0, 6)) cpSync(join(pictures, name), at(`photos/${name}`));
    const members = names.slice(6, 9).flatMap((name, index) => [
      { name: `${index}${name.slice(-4)}`, content: readFileSync(join(pictures, name)) },
      { name: `${index}.txt`, content: `a picture of ${name.slice(0, -4)}` },
    ]);
    writeFileSync(at("web.tar"), tar(members));
    writeFileSync(at("texts.jsonl"), '"a red bicycle"\n{ "text": "two cats" }\n');
    await run(["embed", ...words, ...model, "--out", one]);

    const planned = await run(["plan", ...words, "--per-shard", "5", "--out", at("manifest.jsonl")]);
    expect(planned).toMatch(/3 shards of up to 5: 9 images and 5 texts/);
    const part = (index: number) => at(`part-${index}.safetensors`);
    const shard = (index: number) => ["embed", at("manifest.jsonl"), ...model, "--shard", "auto", "--out", part(index)];
    const slurm = (index: number) => ({
      SLURM_ARRAY_TASK_ID: `${index + 1}`,
      SLURM_ARRAY_TASK_COUNT: "3",
      SLURM_ARRAY_TASK_MIN: "1",
      SLURM_ARRAY_TASK_MAX: "3",
      SLURM_ARRAY_TASK_STEP: "1",
    });
    // Two machines may do the same.
    await Promise.all([run(shard(0), slurm(0)), run(shard(0), slurm(0))]);
    await run(shard(1), { JOB_COMPLETION_INDEX: "1" });
    const missing = await siglip(["merge", part(0), part(1), "--out", at("all.safetensors")]);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringMatching(/all 3 shards, found 2, without 2; /)]);
    await run(shard(2), slurm(2));
    expect(await run(shard(1), slurm(1))).toMatch(/nothing to do/);
    await run(["merge", part(0), part(1), part(2), "--out", at("all.safetensors")]);
    expect(readFileSync(at("all.safetensors")).equals(readFileSync(one))).toBe(true);
  });

  it("by names has every row of it once", async () => {
    const parts = [0, 1].map((index) => at(`hashed-${index}.jsonl`));
    for (const [index, part] of parts.entries()) {
      await run(["embed", ...words, ...model, "--shard", `${index}/2`, "--out", part]);
    }
    await run(["merge", ...parts, "--out", at("hashed.jsonl")]);
    await run(["merge", one, "--out", at("one.jsonl")]);
    const lines = (name: string) =>
      readFileSync(at(name), "utf8")
        .split("\n")
        .map((line) => line.replace(/"origin":\{.*?\},/, ""))
        .sort();
    expect(lines("hashed.jsonl")).toEqual(lines("one.jsonl"));
  });
});
