import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { embedInto } from "../../src/bulk/run.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { RUNTIMES, runtime } from "../harness/runtimes.ts";
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

it("embedding that is killed early and often leaves few journals", async () => {
  const { killed, journals } = await interrupt(50, "jsonl", 3);
  expect(killed).toBe(50);
  // 17 that are not yet folded, and the one into which they are.
  expect(journals).toBeLessThanOrEqual(18);
  console.log(`${journals} journals at most`);
});

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

it.for(RUNTIMES.slice(1))("embedding goes on in %s where another runtime was killed", async (name, context) => {
  const command = await runtime(name, context);
  await bundle(at("child.mjs"));
  await embedInto(job(at("alone.jsonl"), generation(0)));
  const out = at(`${name.replaceAll(" ", "-")}.jsonl`);
  const args = [at("child.mjs"), out, "0", at("log")];
  // Stopped by the size of its journal, in the middle of a record.
  const limited = [`ulimit -f 20; "${process.execPath}"`, ...args.map((word) => `"${word}"`)].join(" ");
  spawnSync("sh", ["-c", limited], { stdio: "ignore" });
  expect(readdirSync(`${out}.part`)).toHaveLength(1);
  const [binary, ...flags] = command;
  const ended = spawnSync(binary, [...flags, ...args], { encoding: "utf8" });
  expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status: 0, stderr: "" });
  expect(readFileSync(out)).toEqual(readFileSync(at("alone.jsonl")));
  expect(existsSync(`${out}.part`)).toBe(false);
  expect(spawnSync(binary, [...flags, ...args], { encoding: "utf8" }).status).toBe(3);
});
