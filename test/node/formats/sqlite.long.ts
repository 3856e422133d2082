// SQLite by better-sqlite3 in a Node that has none of its own. Its native part is compiled here: who offers it ready-made may
// be out of reach.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { findProgram } from "../../browser/drivers/driver.ts";
import { execute } from "../../package/project.ts";

const run = promisify(execFile);
const drive = fileURLToPath(new URL("drive.ts", import.meta.url));

it("embeddings in SQLite are what they were, by better-sqlite3 in this Node", async ({ skip }) => {
  if ("sqlite" in process.versions) skip("this Node has a SQLite of its own");
  const nodedir = join(dirname(process.execPath), "..");
  if (!existsSync(join(nodedir, "include/node/node.h"))) skip("no headers are beside this Node");
  if (!["g++", "make", "python3"].every((name) => findProgram(name))) skip("there is no compiler");
  const folder = await mkdtemp(join(tmpdir(), "siglip-sqlite-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const dependencies = { "better-sqlite3": "12.11.1", "sqlite-vec": "0.1.9" };
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, dependencies }));
  await execute("npm", ["install"], { cwd: folder, env: { ...process.env, npm_config_nodedir: nodedir } });
  const own = join(folder, "vectors");
  await mkdir(own);
  const env = { ...process.env, NODE_PATH: join(folder, "node_modules") };
  const { stdout } = await run(process.execPath, ["--import", "tsx", drive, own, ".sqlite", "300"], { env });
  expect(stdout).toBe("sound\n");
});
