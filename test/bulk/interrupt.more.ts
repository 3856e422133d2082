import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { embedInto } from "../../src/bulk/run.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { generation, job } from "./fake.ts";
import { bundle, interrupt } from "./interrupt.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (name: string) => join(folder.path, name);

it.each(["jsonl", "safetensors"])(
  "embedding into .%s loses, doubles and damages nothing, killed 100 times",
  async (ending) => {
    expect((await interrupt(100, ending)).killed).toBe(100);
  },
);

it("embedding is done by two processes at once, and by one when the other is killed", async () => {
  await bundle(at("child.mjs"));
  await embedInto(job(at("alone.jsonl"), generation(0)));
  for (const kill of [false, true]) {
    const out = at(`both-${kill}.jsonl`);
    const start = () => spawn(process.execPath, [at("child.mjs"), out, "0", at("log")], { stdio: "ignore" });
    const [one, other] = [start(), start()];
    const ended = [one, other].map((child) => new Promise((resolve) => child.on("close", resolve)));
    if (kill) setTimeout(() => one.kill("SIGKILL"), 150 * Math.random());
    const codes = await Promise.all(ended);
    for (const code of kill ? codes.slice(1) : codes) expect([0, 3]).toContain(code);
    expect(readFileSync(out)).toEqual(readFileSync(at("alone.jsonl")));
  }
});
