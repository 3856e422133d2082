import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, describe, expect, it } from "vitest";
import { addEval } from "../../src/cli/eval.ts";
import { addPlan } from "../../src/cli/plan.ts";
import { addWork, Shards } from "../../src/cli/work.ts";

const folder = mkdtempSync(join(tmpdir(), "siglip-work-"));
afterAll(() => rmSync(folder, { recursive: true }));
const { signal } = new AbortController();

describe("a worker", () => {
  it("has a shard fail of which nothing is where it was planned", async () => {
    writeFileSync(join(folder, "gone.jsonl"), `{"image":"a.jpg"}\n{"image":"b.jpg"}\n`);
    const shards = new Shards({ backend: "wasm", threads: 1, queue: "", name: "", lock: 30 }, signal);
    const task = {
      plan: "",
      sources: [join(folder, "gone.jsonl")],
      shard: "0/1",
      model: "demo",
      vectors: "f32",
    } as const;
    const out = join(folder, "gone.safetensors");
    await expect(shards.run({ ...task, out }, () => {}, signal)).rejects.toThrow(
      /gone\.safetensors: wanted a shard of which some can be read, found none \(.*a\.jpg.*\); see that workers/,
    );
  });
});

describe("options", () => {
  it("that nobody could mean are refused before anything begins", async () => {
    const run = (...words: string[]) => {
      const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
      addPlan(program, signal);
      addWork(program, signal);
      addEval(program, signal);
      return program.parseAsync(words, { from: "user" });
    };
    for (const command of [["plan", "x", "--out", "m.jsonl"], ["work"]]) {
      const named = run(...command, "--queue", "redis://127.0.0.1:1", "--name", "a:b");
      await expect(named).rejects.toThrow(/Wanted a name without colons/);
    }
    for (const option of [
      ["--to", "{}.npy"],
      ["--model", "demo"],
      ["--vectors", "f16"],
    ]) {
      await expect(run("plan", "x", "--out", "m.jsonl", ...option)).rejects.toThrow(/wanted --queue beside --to/);
    }
    const draws = run("eval", "retrieval", "x.json", "--resamples", "99999999999");
    await expect(draws).rejects.toThrow(/Wanted a whole number from 1 to 1000000/);
  });
});

describe("a plan", () => {
  it("fills a queue as docs/scale.md says", async () => {
    const text = readFileSync(new URL("../../docs/scale.md", import.meta.url), "utf8");
    const [, line] = /^siglip (plan (?:.*\\\n)*.*--queue(?:.*\\\n)*.*)$/m.exec(text)!;
    const words = line.replaceAll("\\\n", " ").replaceAll("'", "").trim().split(/\s+/);
    const there = words.map((word) => (word === "redis://host" ? "redis://127.0.0.1:1" : word));
    const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
    addPlan(program, signal);
    const run = program.parseAsync([...there, "--out", join(folder, "m.jsonl")], { from: "user" });
    await expect(run).rejects.toThrow(/wanted a Redis that answers/);
  });
});
