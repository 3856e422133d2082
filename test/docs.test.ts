import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

it("everything exported is documented", async () => {
  const typedoc = fileURLToPath(new URL("../node_modules/typedoc/bin/typedoc", import.meta.url));
  // Every warning is an error, by typedocOptions in package.json.
  const checked = promisify(execFile)(process.execPath, [typedoc, "--emit", "none"], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
  });
  await expect(checked.catch(({ stdout, stderr }) => stdout + stderr)).resolves.toMatchObject({ stderr: "" });
});

it("the tables of the READMEs are what bench/results says", async () => {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const checked = promisify(execFile)(process.execPath, ["--import", "tsx", "bench/table.ts", "--check"], { cwd });
  await expect(checked.catch(({ stdout, stderr }) => stdout + stderr)).resolves.toMatchObject({ stderr: "" });
});
