import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { embedInto } from "../../src/bulk/run.ts";
import { temporaryFolder } from "../harness/cli.ts";
import { generation, job } from "./fake.ts";
import { bundle, interrupt } from "./interrupt.ts";

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (name: string) => join(folder.path, name);

describe("embedding", () => {
  // 200 in interrupt.more.ts.
  it("loses, doubles and damages nothing when it is killed at random, 10 times", async () => {
    expect((await interrupt(10)).killed).toBe(10);
  });

  it.skipIf(process.platform === "win32")(
    "says what is kept when there is no room left, and goes on there",
    async () => {
      await bundle(at("child.mjs"));
      const child = `"${process.execPath}" "${at("child.mjs")}" "${at("full.jsonl")}" 0 "${at("log")}"`;
      // A limit on the size of files comes like the end of a disk, in the middle of a record.
      const full = spawnSync("sh", ["-c", `ulimit -f 20; ${child}`], { encoding: "utf8" });
      expect(full.stderr).toMatch(
        /wanted to write this file, found .*; the \d+ embeddings made so far are in .*\.part, and/,
      );
      expect(full.status).toBe(1);
      expect(readdirSync(folder.path).filter((name) => /full|tmp$/.test(name))).toEqual(["full.jsonl.part"]);
      expect(spawnSync("sh", ["-c", child], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
      await embedInto(job(at("whole.jsonl"), generation(0)));
      expect(readFileSync(at("full.jsonl"))).toEqual(readFileSync(at("whole.jsonl")));
    },
  );
});
